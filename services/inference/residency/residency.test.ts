import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { durationMs } from '@bufbuild/protobuf/wkt';
import pino from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { type Engine, EngineState, EngineStateSchema, FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { LoadModelRequestSchema } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { createFakeMachine, type FakeMachine, gpusOf } from '../../../test/engines/fake-nvidia-smi.ts';
import { type FaultScript, scripted } from '../../../test/engines/kit/fault-script.ts';
import { readStarts } from '../../../test/engines/kit/record.ts';
import { RecordingSink, recordingCall } from '../../../test/engines/recording-sink.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { inferenceConfigSchema } from '../config.ts';
import { createInferenceContext, type InferenceContext } from '../context.ts';
import { RESTART_LIMITS } from '../supervisor/restart-policy.ts';
import type { SupervisorLimits } from '../supervisor/supervisor-limits.ts';

// Several cold processes on a machine that may do other work.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });
const WAIT = { timeout: 60_000 };

const FAKES = join(import.meta.dirname, '../../../test/engines/bin');

let machine: FakeMachine;
let directory: string;
let context: InferenceContext | undefined;
let changes: Engine[];

beforeEach(() => {
  machine = createFakeMachine({ gpus: gpusOf('NVIDIA H100 80GB HBM3', 81_559, 1) });
  directory = mkdtempSync(join(tmpdir(), 'mesh-residency-'));
  changes = [];
});
afterEach(async () => {
  await context?.close();
  context = undefined;
  machine.remove();
  rmSync(directory, { recursive: true });
});

const recordOf = (name: string): string => join(directory, `${name}.record`);
const startsOf = (name: string): number => readStarts(recordOf(name)).length;

/** An entry that takes the whole device, on demand unless told otherwise. */
function entry(name: string, script: FaultScript = {}, rest: object = {}): object {
  const env = { FAKE_MACHINE: machine.directory, ...scripted(script, recordOf(name)) };
  return { name, engine: 'vllm', model: `some/${name}`, load: 'on_demand', env, ...rest };
}

function start(
  models: readonly object[],
  section: object = {},
  limits: Partial<SupervisorLimits> = {},
): InferenceContext {
  const path = [join(machine.directory, 'bin'), FAKES, process.env.PATH].join(delimiter);
  const variables = new Map([
    ['PATH', path],
    ['MESH_DEVICE_CLAIMS_DIR', machine.claimsDirectory],
  ]);
  const config = { node: 'here', min_stay_seconds: 0, turn_seconds: 0, ...section, models };
  const made = createInferenceContext(inferenceConfigSchema.parse(config), {
    routers: [],
    dataDir: join(directory, 'data'),
    nodePath: process.execPath,
    environmentVariable: (name) => variables.get(name) ?? process.env[name],
    log: pino({ level: 'silent' }),
    now: Date.now,
    limits: { restart: { ...RESTART_LIMITS, firstDelayMs: 10 }, ...limits },
  });
  context = made;
  made.watch((engine) => changes.push(engine));
  made.start();
  return made;
}

const engine = (name: string): Engine | undefined => context?.engines().find((one) => one.name === name);
const stateOf = (name: string) => engine(name)?.state;

function generate(name: string, maxTokens = 3) {
  const sink = new RecordingSink();
  const call = recordingCall();
  const prompt = { input: { case: 'text' as const, value: 'Hello' } };
  context?.generate(create(GenerateRequestSchema, { engine: name, prompt, sampling: { maxTokens } }), call, sink);
  return { sink, abort: call.abort };
}

/** How long a generation waited for its model, in milliseconds. */
function waitedMs({ events }: RecordingSink): number {
  const [first] = events;
  const time = first?.event.case === 'started' ? first.event.value.queueTime : undefined;
  return time ? durationMs(time) : 0;
}

async function load(model: string, init: object = {}, signal = new AbortController().signal): Promise<Engine[]> {
  const seen: Engine[] = [];
  const request = create(LoadModelRequestSchema, { model, ...init });
  for await (const one of context?.load(request, signal) ?? []) seen.push(one);
  return seen;
}

test('the first request loads its model, waits for it and is told how long; the next one does not wait', async () => {
  start([entry('chat', { startMs: 300 })]);
  await expect.poll(() => stateOf('chat'), WAIT).toBe(EngineState.STOPPED);
  expect(engine('chat')).toMatchObject({ onDemand: true, unloaded: false, processId: 0 });
  const [first, second] = [generate('chat'), generate('chat')];
  expect(await first.sink.over).toBe('end');
  expect(await second.sink.over).toBe('end');
  expect(waitedMs(first.sink)).toBeGreaterThanOrEqual(300);
  // What it takes of its device is remembered.
  const ledger = join(directory, 'data', 'vram-ledger.json');
  await expect.poll(() => existsSync(ledger), WAIT).toBe(true);
  const { runs } = JSON.parse(readFileSync(ledger, 'utf8'));
  expect(Object.values(runs)).toMatchObject([{ model: 'some/chat', bytes: Math.floor(81_559 * 0.9) * 2 ** 20 }]);
  const third = generate('chat');
  expect(await third.sink.over).toBe('end');
  expect(waitedMs(third.sink)).toBe(0);
  expect(startsOf('chat')).toBe(1);
});

test('a waiting request leaves with its client, and its model comes all the same', async () => {
  start([entry('chat', { startMs: 300 })]);
  const { sink, abort } = generate('chat');
  abort.abort(new MeshError('CLIENT_GONE', 'gone'));
  expect(await sink.over).toMatchObject({ reason: 'CLIENT_GONE' });
  const next = generate('chat');
  expect(await next.sink.over).toBe('end');
});

test('a model that is needed takes the place of an idle one, never of a running stream', async () => {
  start([entry('a', { everyMs: 20 }), entry('b')]);
  const long = generate('a', 300);
  await expect.poll(() => long.sink.deltas.length, WAIT).toBeGreaterThan(0);
  const waiting = generate('b');
  // Its turn is over as soon as it is known what the other needs: what comes then waits until the other had its own.
  const running = () => engine('a')?.load?.running ?? 0;
  const later: RecordingSink[] = [];
  const isHeldBack = (): boolean => {
    const before = running();
    later.push(generate('a', 1).sink);
    return running() === before;
  };
  await expect.poll(isHeldBack, WAIT).toBe(true);
  expect(long.sink.outcome).toBeUndefined();
  expect(await waiting.sink.over).toBe('end');
  expect(long.sink.outcome).toBe('end');
  expect(long.sink.usage?.completionTokens).toBe(300);
  expect(await Promise.all(later.map(({ over }) => over))).toEqual(later.map(() => 'end'));
  expect([startsOf('a'), startsOf('b')]).toEqual([2, 1]);
  const order = changes.filter(({ state }) => state === EngineState.READY || state === EngineState.STOPPED);
  expect(order.map(({ name, state }) => `${name} ${EngineStateSchema.value[state]?.localName}`).slice(-5)).toEqual([
    'a READY',
    'a STOPPED',
    'b READY',
    'b STOPPED',
    'a READY',
  ]);
});

test('one that can sleep keeps its process while another has its devices, and wakes in its place', async () => {
  start([entry('a', {}, { sleep_mode: true, gpu_memory_utilization: 0.8 }), entry('b')]);
  expect(await generate('a').sink.over).toBe('end');
  const processId = engine('a')?.processId;
  expect(await generate('b').sink.over).toBe('end');
  expect(engine('a')).toMatchObject({ state: EngineState.SLEEPING, processId });
  // What vLLM holds in its sleep stays booked.
  const booked = Number(context?.devices.devices()[0]?.memoryBookedBytes) / 2 ** 20;
  expect(booked).toBeGreaterThan(0.9 * 81_559 + 1_000);
  expect(booked).toBeLessThan(81_559);
  const back = generate('a');
  expect(await back.sink.over).toBe('end');
  expect(engine('a')).toMatchObject({ state: EngineState.READY, processId });
  expect(stateOf('b')).toBe(EngineState.STOPPED);
  expect([startsOf('a'), startsOf('b')]).toEqual([1, 1]);
  const states = changes
    .filter(({ name }) => name === 'a')
    .map(({ state }) => EngineStateSchema.value[state]?.localName);
  expect([...new Set(states.slice(states.indexOf('READY')))].join(' ')).toBe('READY DRAINING SLEEPING STARTING');
});

test('one that sleeps goes altogether when what it still holds is needed, and ends with the node', async () => {
  start([entry('a', {}, { sleep_mode: true }), entry('b', {}, { gpu_memory_utilization: 0.999 })]);
  expect(await generate('a').sink.over).toBe('end');
  expect(await generate('b').sink.over).toBe('end');
  expect(stateOf('a')).toBe(EngineState.STOPPED);
});

test('one that dies in its sleep is started again when it is needed', async () => {
  start([entry('a', {}, { sleep_mode: true }), entry('b')]);
  expect(await generate('a').sink.over).toBe('end');
  expect(await generate('b').sink.over).toBe('end');
  await expect.poll(() => stateOf('a'), WAIT).toBe(EngineState.SLEEPING);
  process.kill(engine('a')?.processId ?? 0, 'SIGKILL');
  await expect.poll(() => stateOf('a'), WAIT).toBe(EngineState.BACKOFF);
  await expect.poll(() => generate('a').sink.over, WAIT).toBe('end');
});

test('an idle model goes after its time to live, and its memory is back', async () => {
  start([entry('chat', {}, { ttl_seconds: 0.2 })]);
  expect(await generate('chat').sink.over).toBe('end');
  await expect.poll(() => stateOf('chat'), WAIT).toBe(EngineState.STOPPED);
  expect(engine('chat')?.unloaded).toBe(false);
  expect(context?.devices.devices()[0]?.engines).toEqual([]);
  expect(await generate('chat').sink.over).toBe('end');
  expect(startsOf('chat')).toBe(2);
});

test('a model that the configuration wants takes the place of an idle one that came on demand', async () => {
  // Long enough for the guest to take the place while the host is away.
  const restart = { ...RESTART_LIMITS, firstDelayMs: 3_000 };
  start([entry('host', { exitAtToken: { token: 3, code: 0 } }, { load: 'at_start' }), entry('guest')], {}, { restart });
  await expect.poll(() => stateOf('host'), WAIT).toBe(EngineState.READY);
  expect(await generate('host', 10).sink.over).toMatchObject({ reason: 'ENGINE_LOST' });
  await expect.poll(() => stateOf('host'), WAIT).toBe(EngineState.BACKOFF);
  expect(await generate('guest').sink.over).toBe('end');
  await expect.poll(() => stateOf('host'), WAIT).toBe(EngineState.READY);
  expect(stateOf('guest')).toBe(EngineState.STOPPED);
  const busy = changes.filter(({ name, failure }) => name === 'host' && failure?.cause === FailureCause.DEVICE_BUSY);
  expect(busy.length).toBeGreaterThan(0);
});

test('what does not fit beside models that stay is refused by name, to requests as to those who load it', async () => {
  start([entry('host', {}, { load: 'at_start' }), entry('guest')]);
  await expect.poll(() => stateOf('host'), WAIT).toBe(EngineState.READY);
  expect(await generate('guest').sink.over).toMatchObject({ reason: 'NO_HEALTHY_ENGINE' });
  await expect(load('guest')).rejects.toMatchObject({ reason: 'CONFLICT', metadata: { state: 'NO_ROOM' } });
  expect(startsOf('guest')).toBe(0);
});

test('loading twice loads once, and everybody sees every state until READY', async () => {
  start([entry('chat', { startMs: 300 })]);
  const all = await Promise.all(Array.from({ length: 5 }, () => load('chat')));
  for (const seen of all) {
    const states = seen.map(({ state }) => state);
    expect(states.at(-1)).toBe(EngineState.READY);
    expect(states).toEqual(expect.arrayContaining([EngineState.PLACED, EngineState.STARTING]));
  }
  expect(startsOf('chat')).toBe(1);
  expect((await load('chat')).map(({ state }) => state)).toEqual([EngineState.READY]);
});

test('leaving a load does not undo it', async () => {
  start([entry('chat', { startMs: 300 })]);
  const leaving = new AbortController();
  const seen = load('chat', {}, leaving.signal);
  await expect.poll(() => stateOf('chat'), WAIT).toBe(EngineState.STARTING);
  leaving.abort();
  await seen;
  await expect.poll(() => stateOf('chat'), WAIT).toBe(EngineState.READY);
});

test('unloading waits for streams, ends once for all who ask, and refuses requests until it is loaded again', async () => {
  const context = start([entry('chat', { everyMs: 20 })]);
  const stream = generate('chat', 50);
  await expect.poll(() => stream.sink.deltas.length, WAIT).toBeGreaterThan(0);
  const ends = [context.unload('chat'), context.unload('some/chat'), context.unload('')];
  expect(await generate('chat').sink.over).toMatchObject({ reason: 'MODEL_NOT_LOADED' });
  await expect(load('chat')).rejects.toMatchObject({ reason: 'CONFLICT' });
  for (const [stopped] of await Promise.all(ends)) {
    expect(stopped).toMatchObject({ name: 'chat', state: EngineState.STOPPED, unloaded: true });
  }
  expect(stream.sink.outcome).toBe('end');
  expect(stream.sink.usage?.completionTokens).toBe(50);
  expect(await generate('chat').sink.over).toMatchObject({ reason: 'MODEL_NOT_LOADED' });
  expect(await context.unload('chat')).toHaveLength(1);
  await expect(context.unload('')).rejects.toMatchObject({ reason: 'CONFLICT' });
  await load('chat');
  expect(await generate('chat').sink.over).toBe('end');
});

test('a stream that outlasts the drain time of an unload is cut', async () => {
  start([entry('chat', { everyMs: 20 })]);
  const stream = generate('chat', 2_000);
  await expect.poll(() => stream.sink.deltas.length, WAIT).toBeGreaterThan(0);
  await context?.close(0);
  expect(await stream.sink.over).toMatchObject({ reason: 'ENGINE_LOST' });
});

test('one that waited for room and was unloaded by hand does not come when there is some', async () => {
  const context = start([
    entry('first', {}, { load: 'at_start' }),
    entry('late', {}, { load: 'at_start' }),
    entry('next', {}),
  ]);
  await expect.poll(() => [stateOf('first'), stateOf('late')], WAIT).toContain(EngineState.READY);
  const [there, waits] = stateOf('first') === EngineState.READY ? ['first', 'late'] : ['late', 'first'];
  await expect.poll(() => stateOf(waits), WAIT).toBe(EngineState.BACKOFF);
  await context.unload(waits);
  await context.unload(there);
  // The room goes to who asks for it.
  expect(await generate('next').sink.over).toBe('end');
  expect(startsOf(waits)).toBe(0);
  expect(engine(waits)).toMatchObject({ state: EngineState.STOPPED, unloaded: true });
});

test('a model is loaded by its underlying id as by its name', async () => {
  const context = start([entry('chat')]);
  await load('some/chat');
  await load('chat');
  expect(context.engines().map(({ name }) => name)).toEqual(['chat']);
  expect(startsOf('chat')).toBe(1);
});

test('a load that is refused leaves a model unloaded, and one that nobody configured is forgotten', async () => {
  const context = start([entry('guest'), entry('host', {}, { load: 'at_start' })]);
  await expect.poll(() => stateOf('host'), WAIT).toBe(EngineState.READY);
  await context.unload('guest');
  await expect(load('guest')).rejects.toMatchObject({ reason: 'CONFLICT' });
  expect(engine('guest')?.unloaded).toBe(true);
  expect(await generate('guest').sink.over).toMatchObject({ reason: 'MODEL_NOT_LOADED' });
  await expect(load('other/model')).rejects.toMatchObject({ reason: 'CONFLICT', metadata: { state: 'NO_ROOM' } });
  expect(context.engines().map(({ name }) => name)).toEqual(['guest', 'host']);
});

test('one that crashed and nobody waits for does not come back for room that others left', async () => {
  const restart = { ...RESTART_LIMITS, firstDelayMs: 2_000 };
  start([entry('a', { exitAtToken: { token: 3, code: 0 } }), entry('b', {}, { ttl_seconds: 6 })], {}, { restart });
  expect(await generate('a', 10).sink.over).toMatchObject({ reason: 'ENGINE_LOST' });
  await expect.poll(() => stateOf('a'), WAIT).toBe(EngineState.BACKOFF);
  expect(await generate('b').sink.over).toBe('end');
  await expect.poll(() => stateOf('a'), WAIT).toBe(EngineState.STOPPED);
  await expect.poll(() => stateOf('b'), WAIT).toBe(EngineState.STOPPED);
  expect(startsOf('a')).toBe(1);
});

test('what is loading cannot be unloaded, and what nobody knows neither', async () => {
  const context = start([entry('chat', { startMs: 2_000 })]);
  const loaded = load('chat');
  await expect.poll(() => stateOf('chat'), WAIT).toBe(EngineState.STARTING);
  await expect(context.unload('chat')).rejects.toMatchObject({ reason: 'CONFLICT' });
  await expect(context.unload('nobody')).rejects.toMatchObject({ reason: 'MODEL_NOT_FOUND' });
  await loaded;
});

test('a start that fails is told to who loads, with its cause; loading again tries again, out of quarantine too', async () => {
  start([entry('chat', { failStart: 'bad-flag' })]);
  await expect(load('chat')).rejects.toMatchObject({
    reason: 'NO_HEALTHY_ENGINE',
    metadata: { cause: 'BAD_FLAG' },
  });
  await expect.poll(() => stateOf('chat'), WAIT).toBe(EngineState.QUARANTINED);
  expect(await generate('chat').sink.over).toMatchObject({ reason: 'NO_HEALTHY_ENGINE' });
  const before = startsOf('chat');
  await expect(load('chat')).rejects.toMatchObject({ reason: 'NO_HEALTHY_ENGINE' });
  expect(startsOf('chat')).toBeGreaterThan(before);
});

test('a node that stops sends away who waits, and nothing is left', async () => {
  const context = start([entry('chat', { startMs: 5_000 })]);
  const waiting = generate('chat');
  const loading = load('chat');
  await expect.poll(() => stateOf('chat'), WAIT).toBe(EngineState.STARTING);
  const refused = expect(loading).rejects.toMatchObject({ reason: 'SHUTTING_DOWN' });
  await context.close();
  expect(await waiting.sink.over).toMatchObject({ reason: 'SHUTTING_DOWN' });
  await refused;
  expect(stateOf('chat')).toBe(EngineState.STOPPED);
});
