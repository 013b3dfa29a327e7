import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import {
  type Engine,
  EngineCapabilitiesSchema,
  EngineState,
  FailureCause,
} from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { fakeAdapter } from '../../../test/engines/fake-adapter.ts';
import { isRunning } from '../../../test/engines/processes.ts';
import { RecordingSink, recordingCall } from '../../../test/engines/recording-sink.ts';
import { type Supervised, type SuperviseOptions, supervise } from '../../../test/engines/supervise.ts';
import { CountedSink } from '../counted-sink.ts';
import type { EngineAdapter } from '../engines/engine.ts';
import { modelEntrySchema } from '../engines/model-entry.ts';

// Each start is a cold process, and each look at the devices another.
vi.setConfig({ testTimeout: 120_000 });

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function begin(adapter: EngineAdapter, options: SuperviseOptions = {}): Supervised {
  const supervised = supervise(adapter, options);
  closers.push(() => supervised.close());
  supervised.engine.start();
  return supervised;
}

function untilState({ engine }: Supervised, state: EngineState): Promise<void> {
  return expect.poll(() => engine.status.state, { timeout: 60_000, interval: 10 }).toBe(state);
}

const request = create(GenerateRequestSchema, { prompt: { input: { case: 'text', value: 'x' } } });

/** Runs a generation as a node does. */
function generate({ engine }: Supervised): RecordingSink & { abort: () => void } {
  const sink = new RecordingSink();
  const call = recordingCall();
  const { connection, status } = engine;
  if (!connection) throw new Error('not ready');
  connection.generate(request, call, new CountedSink(status.load, call.flow, sink));
  return Object.assign(sink, { abort: () => call.abort.abort() });
}

const shell = (script: string, options = {}) => fakeAdapter({}, { ...options, program: ['sh', '-c', script] });
const leasesOf = ({ directory }: Supervised): string[] =>
  readdirSync(join(directory, 'data'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.json'));

describe('a life', () => {
  test('is placed, starts, makes a token, serves, drains and stops, and nothing is left', async () => {
    const supervised = begin(fakeAdapter({ tokens: 20, everyMs: 20 }));
    const { engine, states, changes, last } = supervised;
    await untilState(supervised, EngineState.READY);
    const { processId, readyAt } = last();
    expect(isRunning(processId)).toBe(true);
    expect(readyAt).toBeDefined();
    expect(changes.map(({ stage }) => stage)).toContain('warming up');
    expect(leasesOf(supervised)).toHaveLength(1);
    const sink = generate(supervised);
    await expect.poll(() => sink.deltas.length).toBeGreaterThan(1);
    const stopped = engine.stop(5_000);
    await expect.poll(() => engine.connection).toBeUndefined();
    await stopped;
    expect(sink.outcome).toBe('end');
    expect(states).toEqual(['PLACED', 'STARTING', 'READY', 'DRAINING', 'STOPPING', 'STOPPED']);
    expect(last()).toMatchObject({ processId: 0, devices: [] });
    expect(isRunning(processId)).toBe(false);
    expect(leasesOf(supervised)).toEqual([]);
  });

  test('is stopped while it starts', async () => {
    const supervised = begin(shell('exec sleep 60'));
    const { engine, states, last } = supervised;
    await expect.poll(() => last().processId).toBeGreaterThan(0);
    const { processId } = last();
    await engine.stop(0);
    expect(isRunning(processId)).toBe(false);
    expect(states).toEqual(['PLACED', 'STARTING', 'STOPPING', 'STOPPED']);
  });

  test('that never began is stopped at once', async () => {
    const { engine, states, close } = supervise(fakeAdapter());
    closers.push(close);
    await engine.stop(0);
    expect(states).toEqual(['STOPPED']);
  });

  test('is killed when it does not obey', async () => {
    const supervised = begin(shell(`trap '' TERM; echo up; while :; do sleep 1; done`), { limits: { graceMs: 200 } });
    await expect.poll(() => supervised.engineLog.tail(1)[0]?.text).toBe('up');
    const { processId } = supervised.last();
    await supervised.engine.stop(0);
    expect(isRunning(processId)).toBe(false);
  });

  test('tells what it can honour, by its probe where that knows better than its adapter', async () => {
    const capabilities = create(EngineCapabilitiesSchema, { chat: true, tools: true });
    const better = begin(fakeAdapter({}, { probe: () => ({ capabilities }) }));
    const other = begin(fakeAdapter());
    for (const supervised of [better, other]) await untilState(supervised, EngineState.READY);
    expect([better.last(), other.last()].map((engine) => engine.capabilities?.tools)).toEqual([true, false]);
  });

  test('shows how far it is', async () => {
    const readLine = (line: string) =>
      line.startsWith('at ') ? { stage: 'loading weights', percent: Number(line.slice(3)) } : undefined;
    const { changes, last } = begin(shell('echo at 10; echo noise; echo at 90; exec sleep 60', { readLine }));
    await expect.poll(() => last().percent).toBe(90);
    expect(changes.map(({ percent }) => percent).filter((percent) => percent !== undefined)).toEqual([10, 90]);
  });
});

describe('a failure', () => {
  test('is any exit that nobody asked for, code 0 too, and the engine comes back', async () => {
    const supervised = begin(fakeAdapter({ tokens: 9, atToken: 2, fault: 'exit', everyMs: 5 }));
    const { engine, states, last } = supervised;
    await untilState(supervised, EngineState.READY);
    const sink = generate(supervised);
    expect(await sink.over).toMatchObject({ reason: 'ENGINE_LOST', metadata: { tokens_delivered: '2' } });
    await untilState(supervised, EngineState.BACKOFF);
    expect(engine.connection).toBeUndefined();
    expect(last()).toMatchObject({ processId: 0, failure: { cause: FailureCause.EXITED_UNASKED, attempts: 1 } });
    expect(last().failure?.hint).toContain('code 0');
    expect(last().failure?.retryAt).toBeDefined();
    await untilState(supervised, EngineState.READY);
    expect(last().restarts).toBe(1);
    expect(last().failure).toBeUndefined();
    const firstLife = ['PLACED', 'STARTING', 'READY', 'UNHEALTHY', 'BACKOFF'];
    expect(states).toEqual([...firstLife, 'PLACED', 'STARTING', 'READY']);
  });

  test('tells why, without secrets, and the engine is stopped while it waits', async () => {
    const supervised = begin(shell('echo out of luck top-secret-value >&2; echo Bearer abcdef >&2; exit 3'));
    const { engine, states, last } = supervised;
    await untilState(supervised, EngineState.BACKOFF);
    expect(last().failure?.evidence).toEqual(['out of luck [secret]', '[secret]']);
    await engine.stop(0);
    expect(states).toEqual(['PLACED', 'STARTING', 'BACKOFF', 'STOPPED']);
  });

  test('tells its cause by a signature, hundreds of lines before the end', async () => {
    const lines = 'echo CUDA out of memory; i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo bye $i; done; exit 1';
    const supervised = begin(shell(lines));
    await untilState(supervised, EngineState.BACKOFF);
    expect(supervised.last().failure?.cause).toBe(FailureCause.OUT_OF_MEMORY_WEIGHTS);
    expect(supervised.last().failure?.evidence[0]).toBe('CUDA out of memory');
  });

  test('of a ready engine is not explained by what it wrote while it started', async () => {
    const program = ['sh', '-c', 'echo "CUDA out of memory, retrying smaller"; exec "$0" "$@"'];
    const fake = fakeAdapter({ tokens: 9, atToken: 2, fault: 'exit' });
    const adapter: EngineAdapter = {
      ...fake,
      connect(setting, place) {
        const connection = fake.connect(setting, place);
        const { launch } = connection;
        if (!launch) throw new Error('no launch');
        const args = [...program.slice(1), launch.program, ...launch.args];
        return { ...connection, launch: { ...launch, program: 'sh', args } };
      },
    };
    const supervised = begin(adapter);
    await untilState(supervised, EngineState.READY);
    await generate(supervised).over;
    await untilState(supervised, EngineState.BACKOFF);
    expect(supervised.last().failure?.cause).toBe(FailureCause.EXITED_UNASKED);
  });

  test('that repeats itself ends in quarantine, with its cause', async () => {
    const restart = { firstDelayMs: 1, maxDelayMs: 1 };
    const supervised = begin(shell('echo error: unrecognized arguments: --nope >&2; exit 2'), { limits: { restart } });
    await untilState(supervised, EngineState.QUARANTINED);
    expect(supervised.last()).toMatchObject({ restarts: 5, failure: { cause: FailureCause.BAD_FLAG, attempts: 5 } });
    expect(supervised.last().failure?.retryAt).toBeUndefined();
    expect(supervised.states.filter((state) => state === 'STARTING')).toHaveLength(5);
    await supervised.engine.stop(0);
    expect(supervised.states.slice(-2)).toEqual(['QUARANTINED', 'STOPPED']);
  });

  test('leaves nothing behind before the next start, not even a session of its own', async () => {
    const children = `sleep 600 & echo $!; setsid sh -c 'echo $$; : > "$0"; exec sleep 600' "$UP" &`;
    const untilUp = `until [ -e "$UP" ]; do sleep 0.02; done; rm "$UP"`;
    const supervised = begin(shell(`trap '' TERM; UP=$(mktemp -u); ${children} ${untilUp}; exit 3`));
    await untilState(supervised, EngineState.BACKOFF);
    const left = (supervised.last().failure?.evidence ?? []).map(Number);
    expect(left).toHaveLength(2);
    expect(left.filter(isRunning)).toEqual([]);
  });

  test('is a program that is not there', async () => {
    const supervised = begin(fakeAdapter({}, { program: ['/no/such/engine'] }));
    await untilState(supervised, EngineState.BACKOFF);
    expect(supervised.last().failure?.cause).toBe(FailureCause.EXECUTABLE_MISSING);
  });

  test('is a start for which the environment lacks something', async () => {
    const adapter: EngineAdapter = {
      ...fakeAdapter(),
      connect: () => {
        throw new Error('the variable X is not set');
      },
    };
    const supervised = begin(adapter);
    await untilState(supervised, EngineState.BACKOFF);
    expect(supervised.last().failure).toMatchObject({
      cause: FailureCause.BAD_FLAG,
      hint: 'the variable X is not set',
    });
    expect(supervised.last().devices).toEqual([]);
  });

  test('is a model whose files cannot be read', async () => {
    const adapter: EngineAdapter = {
      ...fakeAdapter(),
      demand: () => Promise.reject(new Error('config.json: no JSON')),
    };
    const supervised = begin(adapter);
    await untilState(supervised, EngineState.BACKOFF);
    expect(supervised.last().failure).toMatchObject({
      cause: FailureCause.UNSUPPORTED_MODEL,
      hint: 'config.json: no JSON',
    });
    expect(supervised.states).toEqual(['BACKOFF']);
  });

  test('is a start that stands still, however much it writes', async () => {
    const supervised = begin(shell('while :; do echo waiting; sleep 0.05; done'), { limits: { stallMs: 300 } });
    await untilState(supervised, EngineState.BACKOFF);
    expect(supervised.last().failure).toMatchObject({ cause: FailureCause.START_STALLED });
  });

  test('is a start that takes longer than it may, whatever progress it shows', async () => {
    const readLine = () => ({ stage: 'loading' });
    const adapter = shell('while :; do echo step; sleep 0.05; done', { readLine });
    const entry = modelEntrySchema.parse({ name: 'a', engine: 'llama.cpp', model: 'x.gguf', start_timeout_seconds: 1 });
    const supervised = begin(adapter, { entry });
    await untilState(supervised, EngineState.BACKOFF);
    expect(supervised.last().failure?.hint).toContain('not ready after 1 s');
  });

  test('is an engine that loads and cannot make a token', async () => {
    const adapter = fakeAdapter({ warmUpToo: true, status: 500, body: { message: 'no kernel' } });
    const supervised = begin(adapter);
    await untilState(supervised, EngineState.BACKOFF);
    expect(supervised.last().failure?.cause).toBe(FailureCause.UNSUPPORTED_MODEL);
    expect(supervised.states).not.toContain('READY');
  });

  test('is a first token that never comes', async () => {
    const adapter = fakeAdapter({ warmUpToo: true, fault: 'hang', atToken: 0 });
    const supervised = begin(adapter, { limits: { stallMs: 5_000 } });
    await untilState(supervised, EngineState.BACKOFF);
    expect(supervised.last().failure?.hint).toContain('no token within 5 s');
    expect(supervised.states).not.toContain('READY');
  });

  test('is another model than configured, at the start and later', async () => {
    let modelId = 'other';
    const supervised = begin(fakeAdapter({}, { probe: () => ({ modelId }) }), { limits: { probeEveryMs: 20 } });
    await untilState(supervised, EngineState.BACKOFF);
    expect(supervised.last().failure?.cause).toBe(FailureCause.WRONG_MODEL);
    expect(supervised.last().failure?.hint).toContain("'other', not 'fake-model'");
    expect(supervised.states).toEqual(['PLACED', 'STARTING', 'BACKOFF']);
    modelId = 'fake-model';
    await untilState(supervised, EngineState.READY);
    modelId = 'third';
    await untilState(supervised, EngineState.BACKOFF);
    expect(supervised.last().failure?.hint).toContain("'third'");
  });
});

describe('health', () => {
  const limits = { hungMs: 2_000, probeEveryMs: 50 };

  test('hung: no token and no step while a request runs, although /health says 200', async () => {
    const supervised = begin(fakeAdapter({ tokens: 100, everyMs: 5, atToken: 5, fault: 'hang' }), { limits });
    await untilState(supervised, EngineState.READY);
    const { processId } = supervised.last();
    const sink = generate(supervised);
    await untilState(supervised, EngineState.BACKOFF);
    expect(supervised.last().failure?.cause).toBe(FailureCause.HUNG);
    expect(isRunning(processId)).toBe(false);
    expect(await sink.over).toMatchObject({ reason: 'ENGINE_LOST' });
    await untilState(supervised, EngineState.READY);
  });

  test('not hung: probes are never answered while tokens flow', async () => {
    let isBusy = false;
    const probe = (signal: AbortSignal) =>
      isBusy
        ? new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        : Promise.resolve({});
    const adapter = fakeAdapter({ tokens: 150, everyMs: 20 }, { probe });
    const supervised = begin(adapter, { limits: { ...limits, probeMs: 50 } });
    await untilState(supervised, EngineState.READY);
    isBusy = true;
    const sink = generate(supervised);
    expect(await sink.over).toBe('end');
    expect(supervised.states).toEqual(['PLACED', 'STARTING', 'READY']);
  });

  test('not hung: no token for long, while its steps go on', async () => {
    let step = 0;
    const probe = () => ({ running: 1, step: step++ });
    const supervised = begin(fakeAdapter({ tokens: 2, firstTokenMs: 3_000 }, { probe }), { limits });
    await untilState(supervised, EngineState.READY);
    expect(await generate(supervised).over).toBe('end');
    expect(supervised.states).toEqual(['PLACED', 'STARTING', 'READY']);
  });

  test('not hung: its reader has stopped it', async () => {
    const probe = () => ({ running: 1, step: 1 });
    const supervised = begin(fakeAdapter({ tokens: 100_000 }, { probe }), { limits });
    await untilState(supervised, EngineState.READY);
    const { connection, status } = supervised.engine;
    const call = recordingCall();
    const sink = new RecordingSink();
    sink.onEvent = () => call.flow.pause();
    const beganAtMs = performance.now();
    connection?.generate(request, call, new CountedSink(status.load, call.flow, sink));
    await expect.poll(() => performance.now() - beganAtMs).toBeGreaterThan(3_000);
    expect(supervised.states).toEqual(['PLACED', 'STARTING', 'READY']);
    call.abort.abort();
  });

  test('unhealthy: refused while the process lives; started again when that goes on', async () => {
    const supervised = begin(fakeAdapter({ tokens: 9, atToken: 2, fault: 'deaf' }), { limits });
    await untilState(supervised, EngineState.READY);
    const { processId } = supervised.last();
    expect(await generate(supervised).over).toMatchObject({ reason: 'ENGINE_LOST' });
    await untilState(supervised, EngineState.UNHEALTHY);
    expect(supervised.last().failure?.cause).toBe(FailureCause.UNREACHABLE);
    expect(supervised.engine.connection).toBeUndefined();
    expect(isRunning(processId)).toBe(true);
    await untilState(supervised, EngineState.BACKOFF);
    expect(supervised.last().failure?.cause).toBe(FailureCause.HUNG);
    await untilState(supervised, EngineState.READY);
  });

  test('unhealthy for a while: it takes requests again', async () => {
    let isWell = true;
    const probe = () => (isWell ? {} : Promise.reject(new Error('503')));
    const supervised = begin(fakeAdapter({}, { probe }), { limits: { ...limits, hungMs: 60_000 } });
    await untilState(supervised, EngineState.READY);
    isWell = false;
    await untilState(supervised, EngineState.UNHEALTHY);
    isWell = true;
    await untilState(supervised, EngineState.READY);
    expect(await generate(supervised).over).toBe('end');
  });

  test('what it says of its load is told', async () => {
    const probe = () => ({ waiting: 3, kvCacheUsed: 0.5 });
    const supervised = begin(fakeAdapter({}, { probe }), { limits });
    await untilState(supervised, EngineState.READY);
    await expect.poll(() => supervised.last().load).toMatchObject({ running: 0, waiting: 3, kvCacheUsed: 0.5 });
  });
});

test('a change names what it is about', async () => {
  const supervised = begin(shell('exit 1'));
  await untilState(supervised, EngineState.BACKOFF);
  const kinds = new Set(supervised.changes.map(({ name, kind }: Engine) => `${name} ${kind}`));
  expect([...kinds]).toEqual(['chat fake']);
});
