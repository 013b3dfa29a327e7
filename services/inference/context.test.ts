import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import pino from 'pino';
import { afterEach, expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { Role } from '../../gen/mesh/generation/v1/prompt_pb.ts';
import { type Engine, EngineState, FailureCause } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { startFakeEngine } from '../../test/engines/fake-engine.ts';
import { isRunning } from '../../test/engines/processes.ts';
import { RecordingSink, recordingCall } from '../../test/engines/recording-sink.ts';
import { RANDOM_MODEL } from '../../test/fixtures/embedded-engine.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { inferenceConfigSchema } from './config.ts';
import { createInferenceContext, type InferenceContext } from './context.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function start(
  models: readonly object[],
  dataDir = mkdtempSync(join(tmpdir(), 'mesh-test-')),
): { context: InferenceContext; dataDir: string; changes: Engine[] } {
  const context = createInferenceContext(inferenceConfigSchema.parse({ node: 'here', devices: 'none', models }), {
    routers: [],
    dataDir,
    nodePath: process.execPath,
    environmentVariable: (name) => process.env[name],
    log: pino({ level: 'silent' }),
    now: Date.now,
  });
  const changes: Engine[] = [];
  context.watch((engine) => changes.push(engine));
  context.start();
  closers.push(async () => {
    await context.close();
    rmSync(dataDir, { recursive: true });
  });
  return { context, dataDir, changes };
}

const stateOf = (context: InferenceContext) => context.engines()[0]?.state;

function request(engine: string, rest: object = {}) {
  const parts = [{ part: { case: 'text' as const, value: 'Hello' } }];
  return create(GenerateRequestSchema, {
    engine,
    model: 'asked',
    prompt: { input: { case: 'chat', value: { messages: [{ role: Role.USER, parts }] } } },
    ...rest,
  });
}

async function run(context: InferenceContext, asked = request('chat')): Promise<RecordingSink> {
  const sink = new RecordingSink();
  context.generate(asked, recordingCall(), sink);
  await sink.over;
  return sink;
}

test('an attached engine is probed: away, there, and away again', async () => {
  const gone = await startFakeEngine();
  await gone.stop();
  const { context } = start([{ name: 'chat', engine: 'openai', base_url: gone.baseUrl, required: true }]);
  await expect.poll(() => stateOf(context)).toBe(EngineState.UNHEALTHY);
  expect(context.engines()[0]?.failure?.cause).toBe(FailureCause.UNREACHABLE);
  expect((await run(context)).outcome).toMatchObject({ reason: 'NO_HEALTHY_ENGINE' });
  const fake = await startFakeEngine({}, gone.port);
  closers.push(() => fake.stop());
  await expect.poll(() => stateOf(context)).toBe(EngineState.READY);
  expect(context.engines()[0]).toMatchObject({ modelId: 'fake-model', contextTokens: 4096, deviceKind: 'remote' });
  expect((await run(context)).outcome).toBe('end');
  await fake.stop();
  await expect.poll(() => stateOf(context)).toBe(EngineState.UNHEALTHY);
});

test('load is counted once, whatever ends a generation', async () => {
  const fake = await startFakeEngine({ everyMs: 10, tokens: 100_000 });
  closers.push(() => fake.stop());
  const { context } = start([{ name: 'chat', engine: 'openai', base_url: fake.baseUrl }]);
  await expect.poll(() => stateOf(context)).toBe(EngineState.READY);
  const running = () => context.engines()[0]?.load?.running;
  const calls = [recordingCall(), recordingCall(), recordingCall()];
  for (const call of calls) context.generate(request('chat'), call, new RecordingSink());
  expect(running()).toBe(3);
  for (const call of calls) call.abort.abort(new MeshError('CLIENT_GONE', 'gone'));
  expect(running()).toBe(0);
  await fake.script({});
  expect((await run(context)).outcome).toBe('end');
  await fake.script({ status: 500 });
  expect((await run(context)).outcome).toMatchObject({ reason: 'ENGINE_FAILED' });
  const refused = await run(context, request('chat', { engineOptions: { stream: false } }));
  expect(refused.outcome).toMatchObject({ reason: 'INVALID_FIELD' });
  expect(running()).toBe(0);
});

test('unknown engines and a drained node refuse', async () => {
  const fake = await startFakeEngine();
  closers.push(() => fake.stop());
  const { context } = start([{ name: 'chat', engine: 'openai', base_url: fake.baseUrl }]);
  await expect.poll(() => stateOf(context)).toBe(EngineState.READY);
  expect((await run(context, request('other'))).outcome).toMatchObject({ reason: 'MODEL_NOT_FOUND' });
  context.drain();
  expect((await run(context)).outcome).toMatchObject({ reason: 'SHUTTING_DOWN' });
});

test('an entry whose key is not in the environment stops the start', () => {
  const entry = { name: 'chat', engine: 'openai', base_url: 'http://127.0.0.1:1/v1', api_key_env: 'NOT_SET_ANYWHERE' };
  expect(() => start([entry])).toThrow(/NOT_SET_ANYWHERE is not set/);
});

test.runIf(process.platform === 'linux')('what a killed predecessor left is ended before the first start', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mesh-test-'));
  const program = join(import.meta.dirname, '../../test/engines/lease-owner.ts');
  const predecessor = spawn(process.execPath, [program, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(predecessor.stdout, 'data')) as [Buffer];
  const orphan = JSON.parse(String(line)).processId as number;
  predecessor.kill('SIGKILL');
  await once(predecessor, 'exit');
  expect(isRunning(orphan)).toBe(true);

  const { context, changes } = start([{ name: 'chat', engine: 'llama.cpp', model: '/no/such.gguf' }], dataDir);
  const orphanAtChange: boolean[] = [];
  context.watch(() => orphanAtChange.push(isRunning(orphan)));
  await expect.poll(() => changes.length).toBeGreaterThan(0);
  expect(orphanAtChange[0]).toBe(false);
});

test('a node that is closed while it looks for leftovers starts nothing', async () => {
  const own = { name: 'chat', engine: 'llama.cpp', model: '/no/such.gguf' };
  const { context, changes } = start([own, { name: 'remote', engine: 'openai', base_url: 'http://127.0.0.1:1/v1' }]);
  await context.close();
  expect(changes.map(({ state }) => state)).toEqual([EngineState.STOPPED, EngineState.STOPPED]);
});

test("an engine's log and needs can be asked for by its name", async () => {
  const { context } = start([{ name: 'chat', engine: 'llama.cpp', model: '/no/such.gguf' }]);
  await expect.poll(() => context.engineLog('chat').tail(100).join()).not.toBe('');
  expect(() => context.engineLog('other')).toThrow(MeshError);
  await expect(context.demand('other')).rejects.toMatchObject({ reason: 'MODEL_NOT_FOUND' });
  expect(context.devices.devices()).toHaveLength(1);
});

test('the embedded engine loads, answers, tokenizes, and is gone after the close', async () => {
  const { context, dataDir, changes } = start([
    { name: 'chat', engine: 'llama.cpp', model: RANDOM_MODEL, required: true },
  ]);
  await expect.poll(() => stateOf(context)).toBe(EngineState.READY);
  const [engine] = context.engines();
  expect(engine).toMatchObject({
    kind: 'llama.cpp',
    modelId: 'random-model',
    address: 'embedded:llama.cpp',
    deviceKind: 'cpu',
  });
  expect(engine?.contextTokens).toBeGreaterThan(0);
  expect(changes.some((change) => change.percent === 100)).toBe(true);

  const asked = request('chat', {
    sampling: { maxTokens: 12, temperature: 0, returnTokenIds: true, ignoreEndOfTurn: true },
  });
  const sink = await run(context, asked);
  expect(sink.outcome).toBe('end');
  expect(sink.deltas.flatMap((delta) => delta.tokenIds)).toHaveLength(12);
  expect(sink.deltas.at(-1)?.completionTokens).toBe(12);
  expect(sink.deltas[0]?.promptTokens).toBe(sink.usage?.promptTokens);
  expect(sink.usage).toMatchObject({ completionTokens: 12 });
  expect(sink.usage?.prefillSeconds).toBeGreaterThanOrEqual(0);

  const { prompt } = request('chat');
  if (!prompt) throw new Error('no prompt');
  const tokens = await context.call('chat', AbortSignal.timeout(30_000), (connection) => {
    expect(context.engines().find(({ name }) => name === 'chat')?.load?.running).toBe(1);
    return connection.tokenize(prompt, AbortSignal.timeout(30_000));
  });
  expect(tokens).toHaveLength(sink.usage?.promptTokens ?? 0);

  const refused = await run(context, request('chat', { sampling: { minTokens: 3 } }));
  expect(refused.outcome).toMatchObject({ reason: 'UNSUPPORTED_FIELD', metadata: { field: 'min_tokens' } });
  const long = 'word '.repeat(20_000);
  const tooLong = await run(context, request('chat', { prompt: { input: { case: 'text', value: long } } }));
  expect(tooLong.outcome).toMatchObject({ reason: 'CONTEXT_LENGTH_EXCEEDED' });

  const run_ = join(dataDir, 'run', readdirSync(join(dataDir, 'run'))[0] ?? '');
  const [socket = ''] = readdirSync(run_);
  expect(statSync(run_).mode & 0o777).toBe(0o700);
  expect(statSync(join(run_, socket)).mode & 0o777).toBe(0o600);
  await context.close();
  expect(stateOf(context)).toBe(EngineState.STOPPED);
  expect(isRunning(engine?.processId ?? 0)).toBe(false);
  expect(readdirSync(join(dataDir, 'run'))).toEqual([]);
});

test('a model that does not load says so and is tried again', async () => {
  const { context } = start([{ name: 'chat', engine: 'llama.cpp', model: '/no/such.gguf' }]);
  await expect.poll(() => stateOf(context)).toBe(EngineState.BACKOFF);
  await expect.poll(() => context.engines()[0]?.failure?.evidence.join()).toContain('such.gguf');
});

test('an engine never runs more than its limits allow, whoever sends how much', async () => {
  const fake = await startFakeEngine({ tokens: 3, everyMs: 5 });
  closers.push(() => fake.stop());
  const { context } = start([{ name: 'chat', engine: 'openai', base_url: fake.baseUrl, max_concurrency: 2 }]);
  await expect.poll(() => stateOf(context)).toBe(EngineState.READY);
  expect(context.engines()[0]?.maxConcurrency).toBe(2);
  let most = 0;
  const sinks = Array.from({ length: 12 }, () => new RecordingSink());
  for (const sink of sinks) {
    sink.onEvent = () => {
      most = Math.max(most, context.engines()[0]?.load?.running ?? 0);
    };
    context.generate(request('chat'), recordingCall(), sink);
  }
  expect(context.engines()[0]?.load?.running).toBe(2);
  const outcomes = await Promise.all(sinks.map((sink) => sink.over));
  expect(most).toBe(2);
  expect(outcomes.filter((outcome) => outcome === 'end').length).toBeGreaterThanOrEqual(2);
  // Who waited was told how long; who waited for too long is told to go elsewhere.
  const waited = sinks.flatMap((sink) =>
    sink.events.flatMap(({ event }) => (event.case === 'started' ? [event.value] : [])),
  );
  expect(waited.filter(({ queueTime }) => queueTime !== undefined).length).toBe(waited.length - 2);
  for (const outcome of outcomes) if (outcome !== 'end') expect(outcome).toMatchObject({ reason: 'ENGINE_BUSY' });
});

test('the context that requests may fill is limited too', async () => {
  const fake = await startFakeEngine({ tokens: 4, holdAtToken: 2 });
  closers.push(() => fake.stop());
  const { context } = start([
    {
      name: 'chat',
      engine: 'openai',
      base_url: fake.baseUrl,
      max_concurrent_context_tokens: 1_000,
      max_model_len: 800,
    },
  ]);
  await expect.poll(() => stateOf(context)).toBe(EngineState.READY);
  const first = new RecordingSink();
  context.generate(request('chat', { contextTokens: 300 }), recordingCall(), first);
  // Of one that does not tell, the longest sequence counts.
  const second = new RecordingSink();
  context.generate(request('chat'), recordingCall(), second);
  expect(context.engines()[0]?.load?.running).toBe(1);
  expect(await second.over).toMatchObject({ reason: 'ENGINE_BUSY' });
  const third = new RecordingSink();
  context.generate(request('chat', { contextTokens: 700 }), recordingCall(), third);
  expect(context.engines()[0]?.load?.running).toBe(2);
  await expect.poll(() => first.kinds.length + third.kinds.length).toBeGreaterThan(2);
  await fake.go();
  expect(await Promise.all([first.over, third.over])).toEqual(['end', 'end']);
});
