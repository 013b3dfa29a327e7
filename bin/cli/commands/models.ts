import { durationMs } from '@bufbuild/protobuf/wkt';
import type { Command } from 'commander';
import { type Engine, EngineStateSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import {
  LoadModelResponseSchema,
  UnloadModelResponseSchema,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { ListModelsResponseSchema, type Model } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { type Commands, examples } from '../command.ts';
import { CliError, usageError } from '../exit-code.ts';
import { ProgressBar } from '../output/progress-bar.ts';
import { clean, tableLines } from '../output/table.ts';
import { countWord, enumWord, spanWord } from '../output/words.ts';
import { messageJson, type Session } from '../session.ts';

interface LoadOptions {
  readonly device?: string;
  readonly node?: string;
  readonly hfToken?: boolean;
}

/** An unload waits for streams that run. The longest that the mesh lets a call take, in milliseconds. */
const UNLOAD_TIMEOUT_MS = 10 * 60_000;

export function add(program: Command, { act }: Commands): Command {
  const models = program
    .command('models')
    .description('The models of the mesh.')
    .addHelpText(
      'after',
      examples(
        ['inference-mesh models list', 'what may be asked for'],
        ['inference-mesh models load chat', 'with its progress'],
      ),
    );
  models
    .command('list')
    .description('The models that may be asked for, the default first.')
    .addHelpText('after', examples(['inference-mesh models list --json', 'for programs']))
    .action(act(list));
  models
    .command('load <model>')
    .description('Loads a model and shows how far it is. Leaving with Ctrl-C does not end the load.')
    .option('--device <device>', 'auto, cpu, cuda or cuda:<index>')
    .option('--node <node>', 'the node to load it on')
    .option('--hf-token', 'send HF_TOKEN of the environment with it, for gated models')
    .addHelpText(
      'after',
      examples(
        ['inference-mesh models load chat', 'a configured one'],
        ['inference-mesh models load hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF', 'one of the Hugging Face hub'],
        ['inference-mesh models load chat --json', 'a line of JSON for each change'],
      ),
    )
    .action(act(load));
  models
    .command('unload [model]')
    .description('Unloads a model after its running streams; without a name the only one that is loaded.')
    .option('--node <node>', 'on this node alone')
    .addHelpText('after', examples(['inference-mesh models unload chat', 'when its streams have ended']))
    .action(act(unload));
  return models;
}

async function list(session: Session): Promise<void> {
  const { router } = await session.clients();
  const answer = await router.listModels({}, session.call);
  session.answer(ListModelsResponseSchema, answer, () =>
    tableLines<Model>(
      [
        { title: 'MODEL', of: ({ id }) => id, mayShrink: true },
        {
          title: 'READY',
          of: ({ ready }) => (ready ? 'yes' : 'no'),
          style: ({ ready }) => (ready ? 'green' : 'yellow'),
        },
        {
          title: 'CONTEXT',
          isFigure: true,
          of: ({ contextTokens }) => (contextTokens ? countWord(contextTokens) : '-'),
        },
        { title: 'ENGINE', of: ({ engineKind }) => engineKind },
        { title: 'DEFAULT', of: ({ isDefault }) => (isDefault ? '*' : '') },
        { title: 'OTHER NAMES', of: ({ names }) => names.join(', '), mayShrink: true },
      ],
      answer.models,
      session.out,
    ),
  );
}

async function load(session: Session, [model = '']: string[], options: LoadOptions): Promise<void> {
  const { device = '', node = '' } = options;
  const { HF_TOKEN = '' } = session.host.env;
  if (options.hfToken && HF_TOKEN === '') throw usageError('--hf-token', 'HF_TOKEN is not set');
  const { inference } = await session.clients();
  const bar = new ProgressBar(session.err);
  const request = { model, device, node, hfToken: options.hfToken ? HF_TOKEN : '' };
  let last: { engine: Engine; node: string; elapsedMs: number } | undefined;
  try {
    for await (const step of inference.loadModel(request, session.stream)) {
      if (session.isJson) session.json(messageJson(LoadModelResponseSchema, step));
      if (!step.engine) continue;
      const elapsedMs = step.elapsed ? durationMs(step.elapsed) : 0;
      last = { engine: step.engine, node: step.node, elapsedMs };
      if (!session.isJson)
        bar.show({ stage: stageOf(step.engine), percent: step.engine.percent, elapsed: spanWord(elapsedMs) });
    }
  } catch (error) {
    bar.clear();
    if (session.signal.aborted) session.err.line('The load goes on. `models unload` ends it, `engines list` shows it.');
    throw error;
  }
  bar.clear();
  if (!last) throw new CliError('The mesh told nothing of the load.');
  if (session.isJson) return;
  const { engine, elapsedMs } = last;
  const on = [engine.deviceKind, ...engine.devices].join(' ');
  session.out.line(clean(`${engine.name} is ready on ${on} of ${last.node} after ${spanWord(elapsedMs)}`));
}

function stageOf({ state, stage }: Engine): string {
  return [enumWord(EngineStateSchema, state), stage].filter(Boolean).join(': ');
}

async function unload(session: Session, [model = '']: string[], { node = '' }: { node?: string }): Promise<void> {
  const { inference } = await session.clients();
  const answer = await inference.unloadModel({ model, node }, { ...session.call, timeoutMs: UNLOAD_TIMEOUT_MS });
  session.answer(UnloadModelResponseSchema, answer, () =>
    answer.engines.map(({ node: at, engine }) => clean(`${engine?.name} is not loaded on ${at}`)),
  );
}
