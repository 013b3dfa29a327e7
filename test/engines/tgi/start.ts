// Starts the fake TGI through its adapter, for tests.
import { Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { modelEntrySchema } from '../../../services/inference/engines/model-entry.ts';
import { tgiEngine } from '../../../services/inference/engines/tgi.ts';
import type { TgiEntry } from '../../../services/inference/engines/tgi-entry.ts';
import { type FaultScript, scripted } from '../kit/fault-script.ts';
import { type EngineFolder, engineFolder, freePorts, type StartedEngine, startEngine } from '../launched-engine.ts';

/** Generous: the machine may do other work. */
export const TIMEOUT_MS = 120_000;

/** The model of every entry that names none. */
export const MODEL = 'acme/model';

/** An entry with these fields. */
export function entryOf(fields: Partial<Record<keyof TgiEntry, unknown>> = {}): TgiEntry {
  return modelEntrySchema.parse({ name: 'chat', engine: 'tgi', model: MODEL, ...fields }) as TgiEntry;
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

/** A running fake. */
export interface Started extends StartedEngine {
  readonly port: number;
}

/** Starts a fake with a script; `folder` is the caller's to remove. */
export async function start(
  folder: EngineFolder,
  script: FaultScript = {},
  fields: Partial<Record<keyof TgiEntry, unknown>> = {},
  devices: readonly number[] = [0],
): Promise<Started> {
  const env = { ...scripted(script, folder.recordFile), ...((fields.env as object) ?? {}) };
  const ports = await freePorts(3);
  const engine = startEngine(tgiEngine(entryOf({ ...fields, env })), folder, { devices, ports });
  return { ...engine, port: ports[0] ?? 0 };
}

/** Runs `body` on a fake of its own. */
export async function withFake(script: FaultScript, body: (engine: Started) => Promise<void>): Promise<void> {
  const folder = engineFolder();
  const engine = await start(folder, script);
  try {
    await engine.untilReady();
    await body(engine);
  } finally {
    await engine.close();
    folder.remove();
  }
}
