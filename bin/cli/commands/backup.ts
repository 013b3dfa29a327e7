import { resolve } from 'node:path';
import type { Command } from 'commander';
import { ConfigError } from '../../../services/shared/lifecycle/config-source.ts';
import { requireNode } from '../../../services/shared/lifecycle/node-version.ts';
import { type Commands, examples } from '../command.ts';
import { CliError, EXIT } from '../exit-code.ts';
import type { LocalOptions } from '../local-config.ts';
import type { Session } from '../session.ts';

export function add(program: Command, { act }: Commands): Command {
  return program
    .command('backup <directory>')
    .description(
      'Copies the embedded store of this machine and the secrets that it needs into a new directory, also while the mesh runs. A mesh that is started with the copy as its data directory goes on from there.',
    )
    .option('--config <file>', 'the configuration whose data directory counts')
    .addHelpText('after', examples(['inference-mesh backup /backup/mesh-1', 'then what was copied, file by file']))
    .action(act<LocalOptions>(copy));
}

/** Loaded when it is needed: it knows the store and the configuration. */
async function copy(session: Session, [directory = '']: string[], options: LocalOptions): Promise<void> {
  const { host } = session;
  try {
    requireNode(host.nodeVersion);
    const [{ backUp }, { localConfig }] = await Promise.all([import('../../backup.ts'), import('../local-config.ts')]);
    const target = resolve(host.workingDirectory, directory);
    const files = await backUp(localConfig(session, options).server.data_dir, target);
    if (session.isJson) session.json({ directory: target, files });
    else for (const file of files) session.out.line(file);
  } catch (error) {
    throw error instanceof ConfigError ? new CliError(error.message, EXIT.configuration) : error;
  }
}
