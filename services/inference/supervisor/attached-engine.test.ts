import { create } from '@bufbuild/protobuf';
import pino from 'pino';
import { afterEach, expect, test } from 'vitest';
import {
  EngineCapabilitiesSchema,
  EngineState,
  EngineStateSchema,
  FailureCause,
} from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { EngineAdapter, EngineProbe } from '../engines/engine.ts';
import { modelEntrySchema } from '../engines/model-entry.ts';
import { AttachedEngine } from './attached-engine.ts';
import { SUPERVISOR_LIMITS } from './supervisor-limits.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** Generous: the machine may do other work. */
const PATIENCE = { timeout: 60_000 };

const never = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

/** A server elsewhere that answers probes as told, with limits of a few milliseconds. */
function attach(probe: (signal: AbortSignal) => Promise<EngineProbe>): { engine: AttachedEngine; states: string[] } {
  const base_url = 'http://10.0.0.7:8000/v1';
  const adapter: EngineAdapter = {
    kind: 'openai',
    capabilities: create(EngineCapabilitiesSchema),
    address: base_url,
    modelId: 'right',
    deviceKind: 'remote',
    lifecycle: 'attached',
    portCount: 0,
    demand: () => Promise.resolve(undefined),
    connect: () => ({
      generate: () => {},
      tokenize: () => Promise.resolve([]),
      probe,
      close: () => Promise.resolve(),
    }),
  };
  const states: string[] = [];
  const engine = new AttachedEngine({
    entry: modelEntrySchema.parse({ name: 'chat', engine: 'openai', base_url }),
    adapter,
    setting: { runDirectory: '/nowhere', nodePath: '', gpu: 'none', environmentVariable: () => undefined },
    now: Date.now,
    log: pino({ level: 'silent' }),
    limits: { ...SUPERVISOR_LIMITS, probeEveryMs: 5, probeMs: 20 },
    onChange: ({ state }) => states.push(EngineStateSchema.value[state]?.localName ?? ''),
  });
  closers.push(() => engine.stop(0));
  engine.start();
  return { engine, states };
}

test('a server that serves another model takes no requests until it serves the right one', async () => {
  let modelId = 'wrong';
  const { engine, states } = attach(() => Promise.resolve({ modelId, waiting: 2 }));
  await expect.poll(() => engine.status.state, PATIENCE).toBe(EngineState.UNHEALTHY);
  expect(engine.status.engine.failure).toMatchObject({ cause: FailureCause.WRONG_MODEL });
  expect(engine.status.engine.failure?.hint).toContain("'wrong', not 'right'");
  expect(engine.connection).toBeUndefined();
  modelId = 'right';
  await expect.poll(() => engine.connection, PATIENCE).toBeDefined();
  expect(engine.status.engine.load?.waiting).toBe(2);
  await engine.stop(0);
  expect(states).toEqual(['STARTING', 'UNHEALTHY', 'READY', 'STOPPING', 'STOPPED']);
});

test('another reason is told as such, the same one only once', async () => {
  let isThere = false;
  const { engine, states } = attach(() =>
    isThere ? Promise.resolve({ modelId: 'wrong' }) : Promise.reject(new Error('refused')),
  );
  await expect.poll(() => engine.status.engine.failure?.cause, PATIENCE).toBe(FailureCause.UNREACHABLE);
  isThere = true;
  await expect.poll(() => engine.status.engine.failure?.cause, PATIENCE).toBe(FailureCause.WRONG_MODEL);
  expect(states).toEqual(['STARTING', 'UNHEALTHY', 'UNHEALTHY']);
});

test('late answers of a server with nothing to do are forgiven twice', async () => {
  let probes = 0;
  const { engine, states } = attach((signal) => {
    probes++;
    return probes === 1 || probes > 4 ? Promise.resolve({ modelId: 'right' }) : never(signal);
  });
  await expect.poll(() => states, PATIENCE).toEqual(['STARTING', 'READY', 'UNHEALTHY', 'READY']);
  await engine.stop(0);
});

test('tokens do not make the right one of a server that has named another model', async () => {
  let modelId = 'right';
  let isLate = false;
  let probes = 0;
  const { engine, states } = attach((signal) => {
    // The first probe is asked within the start.
    if (probes++ > 0) engine.status.load.events++;
    return isLate ? never(signal) : Promise.resolve({ modelId });
  });
  await expect.poll(() => states, PATIENCE).toEqual(['STARTING', 'READY']);
  modelId = 'wrong';
  await expect.poll(() => states, PATIENCE).toEqual(['STARTING', 'READY', 'UNHEALTHY']);
  isLate = true;
  const before = probes;
  await expect.poll(() => probes, PATIENCE).toBeGreaterThan(before + 3);
  expect(engine.status.engine.failure?.cause).toBe(FailureCause.WRONG_MODEL);
  expect(states).toEqual(['STARTING', 'READY', 'UNHEALTHY']);
});
