import type { Command } from 'commander';
import { type Commands, examples } from '../command.ts';
import { usageError } from '../exit-code.ts';

/** `start` itself is the entry file's: this tells of it, and refuses what does not begin with it. */
export function add(program: Command, { act }: Commands): Command {
  return program
    .command('start')
    .usage('[flags]')
    .description(
      'Starts a mesh here and serves until it is told to stop, as `npm start` does. docs/configuration.md has all settings.',
    )
    .allowUnknownOption()
    .allowExcessArguments()
    .option('--host <address>', 'bind address (MESH_HOST; 127.0.0.1)')
    .option('--port <number>', 'the one port; 0 picks a free one (MESH_PORT; 8000)')
    .option('--config <file>', 'YAML or JSON (MESH_CONFIG; mesh.yaml if there is one)')
    .option('--roles <list>', 'which of auth,quota,router,inference,tasks,facade run here (MESH_ROLES; all)')
    .option(
      '--model <model>',
      'a GGUF file, hf:user/repository[:quantization], or none (MESH_MODEL; the one that ships)',
    )
    .option('--log-level <level>', 'LOG_LEVEL; info')
    .option('--check-config', 'validate, print with secrets masked, and leave')
    .option('--import <file>', 'take over the configuration of another system')
    .addHelpText(
      'after',
      examples(
        ['inference-mesh start', 'needs no configuration, no GPU and no network'],
        ['inference-mesh start --model hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF', 'with a real model'],
      ),
    )
    .action(
      act(async () => {
        throw usageError('start', 'must come first: inference-mesh start [flags]');
      }),
    );
}
