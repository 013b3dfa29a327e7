import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isRunning } from '../engines/processes.ts';
import { startMesh, type TestMesh } from '../harness/mesh.ts';
import { Caller, chat, START_TIMEOUT_MS, text } from './caller.ts';
import { descendantsOf } from './engine-process.ts';
import { readPlan, traitsOf } from './plan.ts';

const plan = readPlan();
const present = plan.engines.filter(({ absent }) => absent === undefined);

/** How long running streams get when the mesh is asked to stop. */
const DRAIN_SECONDS = 1;

/** From SIGTERM to SIGKILL of an engine. */
const GRACE_MS = 10_000;

describe.skipIf(present.length < 2)(`side by side: ${present.map(({ kind }) => kind).join(', ')}`, () => {
  let mesh: TestMesh;
  let caller: Caller;

  beforeAll(async () => {
    const models = present.map((real) => {
      // One device has room for all: the models are tiny.
      const shared = plan.devices.length > 0 ? { share_devices: true } : {};
      return { ...traitsOf(real, plan).entry, ...shared, name: real.kind, engine: real.kind };
    });
    const config = { inference: { models }, server: { drain_seconds: DRAIN_SECONDS } };
    mesh = await startMesh('one process', { config, args: ['--model', 'none'] });
    caller = new Caller(mesh);
    await Promise.all(present.map(({ kind }) => caller.ready(kind)));
  }, 2 * START_TIMEOUT_MS);
  afterAll(() => mesh?.stop());

  test('all answer at the same time', async () => {
    const sampling = { maxTokens: 16, temperature: 0 };
    const ask = async ({ kind }: (typeof present)[number]): Promise<void> => {
      expect((await caller.generate(kind, { prompt: chat('hello'), sampling })).finished).toHaveLength(1);
    };
    await Promise.all(present.map(ask));
  });

  test('a stop with streams running ends all of them in order, and leaves nothing', async () => {
    const program = mesh.processes.get('all');
    const all = descendantsOf(program?.child.pid ?? 0);
    const streams = present.map((real) => {
      const sampling = { temperature: 0, ...traitsOf(real, plan).long };
      return new Promise<void>((begun, failed) => {
        caller.generate(real.kind, { prompt: text('hello'), sampling }, () => begun()).catch(failed);
      });
    });
    await Promise.all(streams);
    const startedMs = performance.now();
    expect(await program?.stop()).toBe(0);
    const tookMs = Math.round(performance.now() - startedMs);
    console.log(`stopped within ${tookMs} ms`);
    expect(all.filter(isRunning)).toEqual([]);
    // None had to be killed: its stream was taken from it before it was asked to end.
    expect(tookMs).toBeLessThan(DRAIN_SECONDS * 1_000 + GRACE_MS);
  });
});
