// Starts the fake llama-server through its adapter, for tests.
import { create } from '@bufbuild/protobuf';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { type Prompt, Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import type { EngineProbe } from '../../../services/inference/engines/engine.ts';
import { llamaServerEngine } from '../../../services/inference/engines/llama-server.ts';
import type { LlamaServerEntry } from '../../../services/inference/engines/llama-server-entry.ts';
import { modelEntrySchema } from '../../../services/inference/engines/model-entry.ts';
import { type FaultScript, scripted } from '../kit/fault-script.ts';
import { type EngineFolder, engineFolder, type StartedEngine, startEngine } from '../launched-engine.ts';

/** Generous: the machine may do other work. */
export const TIMEOUT_MS = 120_000;

/** Fields of an entry, not yet checked. */
export type Fields = Partial<Record<keyof LlamaServerEntry, unknown>>;

/** An entry with these fields. */
export function entryOf(fields: Fields = {}): LlamaServerEntry {
  const model = '/models/Qwen3-8B-Q4_K_M.gguf';
  return modelEntrySchema.parse({ name: 'chat', engine: 'llama-server', model, ...fields }) as LlamaServerEntry;
}

/** A prompt of text. */
export const text = (value: string) => ({ input: { case: 'text' as const, value } });

/** A prompt of one message. */
export const chat = (value: string) => ({
  input: {
    case: 'chat' as const,
    value: { messages: [{ role: Role.USER, parts: [{ part: { case: 'text' as const, value } }] }] },
  },
});

/** The same as a message. */
export const promptOf = (prompt: ReturnType<typeof text> | ReturnType<typeof chat>): Prompt =>
  create(GenerateRequestSchema, { prompt }).prompt as Prompt;

/** Starts a fake with a script; `folder` is the caller's to remove. */
export function start(
  folder: EngineFolder,
  script: FaultScript = {},
  fields: Fields = {},
  devices: readonly number[] = [],
): StartedEngine {
  const env = { ...scripted(script, folder.recordFile), ...((fields.env as object) ?? {}) };
  return startEngine(llamaServerEngine(entryOf({ ...fields, env })), folder, { devices });
}

/** The socket that the fake was told to listen on. */
export function socketOf(engine: StartedEngine): string {
  const { argv } = engine.record();
  return argv[argv.indexOf('--host') + 1] ?? '';
}

/** Runs `body` on a fake of its own. */
export async function withFake(
  script: FaultScript,
  body: (engine: StartedEngine) => Promise<void>,
  fields: Fields = {},
): Promise<void> {
  const folder = engineFolder();
  const engine = start(folder, script, fields);
  try {
    await engine.untilReady();
    await body(engine);
  } finally {
    await engine.close();
    folder.remove();
  }
}

/** What the adapter learns of it. */
export const probe = (engine: StartedEngine): Promise<EngineProbe> =>
  engine.connection.probe(AbortSignal.timeout(TIMEOUT_MS));
