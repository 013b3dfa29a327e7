import { create } from '@bufbuild/protobuf';
import pino from 'pino';
import { afterEach, expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { type EngineFailure, EngineStateSchema, FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { type FakeEngine, startFakeEngine } from '../../../test/engines/fake-engine.ts';
import type { FakeScript } from '../../../test/engines/fake-openai.ts';
import { RecordingSink, recordingCall } from '../../../test/engines/recording-sink.ts';
import { CountedSink } from '../counted-sink.ts';
import { modelEntrySchema } from '../engines/model-entry.ts';
import { openAiEngine } from '../engines/openai.ts';
import { AttachedEngine } from './attached-engine.ts';
import { SUPERVISOR_LIMITS, type SupervisorLimits } from './supervisor-limits.ts';

/** Generous: the machine may do other work. */
const PATIENCE = { timeout: 60_000 };
const TIMEOUT_MS = 120_000;

/** Longer than a test lasts. */
const NEVER_MS = 600_000;

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Attached {
  readonly engine: AttachedEngine;
  readonly fake: FakeEngine;
  /** Since it was ready. */
  readonly states: string[];
  readonly failures: EngineFailure[];
  /** Runs a long generation as the mesh does. */
  generate(): { sink: RecordingSink; leave: () => void };
  /** Waits until so many more probes were asked. */
  probed(count: number): Promise<void>;
}

/** Attaches to a real server that follows a script, and waits until it is ready. */
async function attach(script: FakeScript, limits: Partial<SupervisorLimits>): Promise<Attached> {
  const fake = await startFakeEngine(script);
  closers.push(() => fake.stop());
  const entry = modelEntrySchema.parse({ name: 'chat', engine: 'openai', base_url: fake.baseUrl });
  if (entry.engine !== 'openai') throw new Error('another kind');
  const states: string[] = [];
  const failures: EngineFailure[] = [];
  const engine = new AttachedEngine({
    entry,
    adapter: openAiEngine(entry),
    setting: { runDirectory: '/nowhere', nodePath: '', gpu: 'none', environmentVariable: () => undefined },
    now: Date.now,
    log: pino({ level: 'silent' }),
    limits: { ...SUPERVISOR_LIMITS, probeEveryMs: 20, reprobeMs: 5, ...limits },
    onChange({ state, failure }) {
      states.push(EngineStateSchema.value[state]?.localName ?? '');
      if (failure) failures.push(failure);
    },
  });
  closers.push(() => engine.stop(0));
  engine.start();
  await expect.poll(() => states.at(-1), PATIENCE).toBe('READY');
  states.length = 0;
  failures.length = 0;
  return {
    engine,
    fake,
    states,
    failures,
    generate() {
      const { connection, status } = engine;
      const call = recordingCall();
      const sink = new RecordingSink();
      const request = create(GenerateRequestSchema, {
        model: 'chat',
        prompt: { input: { case: 'text', value: 'hi' } },
        sampling: { maxTokens: 100_000 },
      });
      connection?.generate(request, call, new CountedSink(status.load, call.flow, sink));
      return { sink, leave: () => call.abort.abort() };
    },
    async probed(count) {
      const { probes } = await fake.counts();
      await expect.poll(async () => (await fake.counts()).probes, PATIENCE).toBeGreaterThanOrEqual(probes + count);
    },
  };
}

test(
  'a server whose tokens flow is not taken out, however late it answers its probes',
  async () => {
    const { fake, states, generate, probed } = await attach({}, { probeMs: 500 });
    await fake.script({ tokens: 100_000, everyMs: 10, healthMs: NEVER_MS });
    const { sink, leave } = generate();
    await expect.poll(() => sink.deltas.length, PATIENCE).toBeGreaterThan(0);
    await probed(6);
    expect(sink.outcome).toBeUndefined();
    expect(states).toEqual([]);
    leave();
    await sink.over;
  },
  TIMEOUT_MS,
);

test(
  'a server that answers its probes and sends no token hangs, until nothing of ours is left on it',
  async () => {
    const hang: FakeScript = { tokens: 100, atToken: 3, fault: 'hang' };
    const { engine, states, failures, generate, probed } = await attach(hang, { hungMs: 1_000 });
    const { sink, leave } = generate();
    await expect.poll(() => states, PATIENCE).toEqual(['UNHEALTHY']);
    expect(failures[0]).toMatchObject({ cause: FailureCause.HUNG, attempts: 1 });
    expect(failures[0]?.hint).toContain(engine.status.engine.address);
    expect(engine.connection).toBeUndefined();
    // Answers alone do not bring it back.
    await probed(5);
    expect(states).toEqual(['UNHEALTHY']);
    leave();
    await sink.over;
    await expect.poll(() => states, PATIENCE).toEqual(['UNHEALTHY', 'READY']);
  },
  TIMEOUT_MS,
);

test(
  'a hung server that moves again takes requests again, with the request on it that waited',
  async () => {
    const slow: FakeScript = { tokens: 100, everyMs: 4_000 };
    const { engine, states, failures, generate } = await attach(slow, { hungMs: 1_000 });
    const { sink, leave } = generate();
    await expect.poll(() => states.slice(0, 2), PATIENCE).toEqual(['UNHEALTHY', 'READY']);
    expect(failures[0]?.cause).toBe(FailureCause.HUNG);
    expect(engine.status.load.running).toBe(1);
    leave();
    await sink.over;
  },
  TIMEOUT_MS,
);

test(
  'one refused probe takes nothing out, two in a row do, and one answer brings it back',
  async () => {
    const { fake, states, failures, probed } = await attach({}, {});
    await fake.script({ healthFailures: 1 });
    await probed(5);
    expect(states).toEqual([]);
    await fake.script({ healthFailures: 2 });
    await expect.poll(() => states, PATIENCE).toEqual(['UNHEALTHY', 'READY']);
    expect(failures[0]).toMatchObject({
      cause: FailureCause.UNREACHABLE,
      evidence: [expect.stringContaining('status 503')],
    });
  },
  TIMEOUT_MS,
);

test(
  'a server that is gone is out, and in again when it is back',
  async () => {
    const { fake, states, failures } = await attach({}, {});
    await fake.stop();
    await expect.poll(() => states, PATIENCE).toEqual(['UNHEALTHY']);
    expect(failures[0]?.cause).toBe(FailureCause.UNREACHABLE);
    const back = await startFakeEngine({}, fake.port);
    closers.push(() => back.stop());
    await expect.poll(() => states, PATIENCE).toEqual(['UNHEALTHY', 'READY']);
  },
  TIMEOUT_MS,
);
