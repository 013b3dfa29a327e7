// Starts the fake vLLM through its adapter, for tests.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Client } from 'undici';
import { onTestFinished } from 'vitest';
import type { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { modelEntrySchema } from '../../../services/inference/engines/model-entry.ts';
import { vllmEngine } from '../../../services/inference/engines/vllm.ts';
import type { VllmEntry } from '../../../services/inference/engines/vllm-entry.ts';
import type { FakeState } from '../kit/engine-state.ts';
import { type FaultScript, scripted } from '../kit/fault-script.ts';
import { type EngineFolder, engineFolder, type StartedEngine, startEngine } from '../launched-engine.ts';

/** Generous: the machine may do other work. */
export const TIMEOUT_MS = 90_000;

/** The model of every entry that names none. */
export const MODEL = 'Qwen/Qwen3-8B';

/** A request as it is written down. */
export type Shape = Extract<MessageInitShape<typeof GenerateRequestSchema>, { $typeName?: never }>;

/** A running fake and its folder. */
export interface Vllm extends StartedEngine {
  readonly folder: EngineFolder;
  /** The socket that it listens on. */
  readonly socketPath: string;
  /** The fake's own count. */
  state(): Promise<FakeState>;
}

/** An entry with these fields. */
export function entryOf(fields: object): VllmEntry {
  const entry = modelEntrySchema.parse({ name: 'chat', engine: 'vllm', model: MODEL, ...fields });
  if (entry.engine !== 'vllm') throw new Error('another engine');
  return entry;
}

/** Starts a fake with a script; `close` ends it and removes its folder. */
export function start(script: FaultScript, fields: object = {}, devices: readonly number[] = []): Vllm {
  const folder = engineFolder();
  const env = { HF_TOKEN: 'hf-secret-value', ...scripted(script, folder.recordFile) };
  const engine = startEngine(vllmEngine(entryOf({ env, ...fields })), folder, { devices });
  const { args = [] } = engine.connection.launch ?? {};
  const socketPath = args[args.indexOf('--uds') + 1] ?? '';
  return {
    ...engine,
    folder,
    socketPath,
    async state() {
      const client = new Client('http://localhost', { socketPath });
      const { body } = await client.request({ method: 'GET', path: '/fake/state' });
      const state = (await body.json()) as FakeState;
      await client.close();
      return state;
    },
    async close() {
      await engine.close();
      folder.remove();
    },
  };
}

/** As `start`, for one test: it is ready, and is closed when the test is over. */
export async function startReady(...parameters: Parameters<typeof start>): Promise<Vllm> {
  const engine = start(...parameters);
  onTestFinished(() => engine.close());
  await engine.untilReady();
  return engine;
}

/** A limit for one call to the engine. */
export const signal = (): AbortSignal => AbortSignal.timeout(TIMEOUT_MS);

/** A prompt of text. */
export const text = (value: string): Shape['prompt'] & object => ({ input: { case: 'text', value } });

/** A prompt of one message. */
export const chat = (templateOptions?: Record<string, boolean>): Shape['prompt'] & object => ({
  input: {
    case: 'chat',
    value: {
      messages: [{ role: Role.USER, parts: [{ part: { case: 'text', value: 'Hello you' } }] }],
      ...(templateOptions ? { templateOptions } : {}),
    },
  },
});
