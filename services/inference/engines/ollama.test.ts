import { rmSync } from 'node:fs';
import { create } from '@bufbuild/protobuf';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { FinishReason } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { PromptSchema, Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import {
  chat,
  type EngineOnPort,
  generate,
  type PromptShape,
  type RequestShape,
  startOnPort,
  text,
} from '../../../test/engines/engine-on-port.ts';
import type { FailedStart, FaultScript } from '../../../test/engines/kit/fault-script.ts';
import { failureIn, fakeSetting, until } from '../../../test/engines/launched-engine.ts';
import { ollamaFolder } from '../../../test/engines/ollama/models.ts';
import { type ModelEntry, modelEntrySchema } from './model-entry.ts';
import { ollamaEngine } from './ollama.ts';
import type { OllamaEntry } from './ollama-entry.ts';
import { StartRefusedError } from './start-refused.ts';

interface EntryFields {
  readonly env?: Readonly<Record<string, string>>;
  readonly model?: string;
  readonly max_model_len?: number;
  readonly max_concurrency?: number;
}

const MODEL = 'qwen3:8b';
const TIMEOUT_MS = 60_000;

const folder = ollamaFolder(MODEL, 'plain:latest', 'nomic-embed-text:latest');
afterAll(() => rmSync(folder, { recursive: true }));

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

function entryOf(fields: object): OllamaEntry {
  const entry: ModelEntry = modelEntrySchema.parse({ name: 'chat', engine: 'ollama', model: MODEL, ...fields });
  if (entry.engine !== 'ollama') throw new Error('another engine');
  return entry;
}

function start(script: FaultScript, fields: EntryFields = {}, devices: readonly number[] = []): Promise<EngineOnPort> {
  const own = { OLLAMA_MODELS: folder, ...fields.env };
  return startOnPort((env) => ollamaEngine(entryOf({ ...fields, env: { ...own, ...env } })), script, devices);
}

async function startOne(...parameters: Parameters<typeof start>): Promise<EngineOnPort> {
  const started = await start(...parameters);
  closers.push(() => started.close());
  return started;
}

const isRefused = (error: unknown): boolean => error instanceof StartRefusedError;

const loads = ({ lines }: EngineOnPort): number =>
  lines.filter((line) => /starting (?:llama-server|runner" cmd=.* --model )/.test(line)).length;
const prompts = (...texts: string[]) => texts.map((value) => create(PromptSchema, text(value)));

describe('one that behaves', { timeout: TIMEOUT_MS }, () => {
  let engine: EngineOnPort;
  beforeAll(async () => {
    engine = await start({ tokens: 4, texts: [' ä', ' €', ' b', ' c'] }, { max_concurrency: 2, max_model_len: 64 });
    await engine.ready();
  }, TIMEOUT_MS);
  afterAll(() => engine.close());

  test('serves on a loopback port, holds one model for ever, prunes nothing', () => {
    const { argv, env } = engine.record();
    expect(argv).toEqual(['serve']);
    expect(Object.fromEntries(Object.entries(env).filter(([name]) => /^(OLLAMA|CUDA)/.test(name)))).toEqual({
      CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
      CUDA_VISIBLE_DEVICES: '',
      OLLAMA_CONTEXT_LENGTH: '64',
      OLLAMA_HOST: `127.0.0.1:${engine.port}`,
      OLLAMA_KEEP_ALIVE: '-1',
      OLLAMA_MAX_LOADED_MODELS: '1',
      OLLAMA_MODELS: folder,
      OLLAMA_NOPRUNE: '1',
      OLLAMA_NO_CLOUD: '1',
      OLLAMA_NUM_PARALLEL: '2',
    });
  });

  test('tells how far it is, which model it has and how long its context is', async () => {
    expect(engine.progress.map(({ stage }) => stage)).toEqual([
      ...['server up', 'loading weights', 'loading weights', 'allocating KV cache', 'loaded'],
    ]);
    expect(engine.progress[2]?.deviceKind).toBe('cuda');
    expect(await engine.ready()).toEqual({ modelId: MODEL, contextTokens: 64 });
  });

  test('continues a text raw, with log-probabilities', async () => {
    const sampling = { maxTokens: 4, seed: 3n, stop: ['x'], logprobs: true, topLogprobs: 1 };
    const { sink } = generate(engine, { prompt: text('Once'), sampling });
    expect(await sink.over).toBe('end');
    expect(sink.text()).toBe(' ä € b c');
    expect(sink.deltas.flatMap(({ logprobs }) => logprobs)[0]).toMatchObject({
      token: ' ä',
      logprob: -0.5,
      bytes: new Uint8Array(Buffer.from(' ä')),
      top: [{ token: 'alt0', logprob: -1 }],
    });
    expect(sink.finished).toMatchObject([{ reason: FinishReason.LENGTH }]);
    expect(sink.usage).toMatchObject({ promptTokens: 5, completionTokens: 4, decodeSeconds: 0.04 });
    expect((await engine.state()).last).toMatchObject({
      path: '/api/generate',
      body: { model: MODEL, prompt: 'Once', raw: true, options: { num_predict: 4, seed: 3, stop: ['x'] } },
    });
  });

  test('answers a chat, with reasoning apart and with tools', async () => {
    const thought = generate(engine, { prompt: chat({ enable_thinking: true }) }).sink;
    expect(await thought.over).toBe('end');
    expect(thought.deltas.map(({ reasoning }) => reasoning).join('')).toBe(' ä € b c');
    const { sink } = generate(engine, { prompt: chat(), tools: [{ name: 'weather' }, { name: 'time' }] });
    expect(await sink.over).toBe('end');
    expect(sink.deltas.flatMap(({ toolCalls }) => toolCalls)).toMatchObject([
      { index: 0, id: 'call_req_test_0', name: 'weather', arguments: '{"city":"Rome"}' },
      { index: 1, id: 'call_req_test_1', name: 'time' },
    ]);
    expect(sink.finished).toMatchObject([{ reason: FinishReason.TOOL_CALLS }]);
  });

  test('a prompt that does not fit is refused, not cut', async () => {
    const { sink } = generate(engine, { prompt: text('word '.repeat(100)) });
    expect(await sink.over).toMatchObject({ reason: 'CONTEXT_LENGTH_EXCEEDED' });
  });

  test('what it cannot do is refused by name, and nothing is asked', async () => {
    const before = await engine.state();
    const { sink } = generate(engine, { prompt: chat(), sampling: { choices: 2 } });
    expect(await sink.over).toMatchObject({ reason: 'UNSUPPORTED_FIELD', metadata: { field: 'n', engine: 'chat' } });
    const image = { part: { case: 'imageUrl' as const, value: 'data:image/png;base64,AA' } };
    const prompt: PromptShape = {
      input: { case: 'chat', value: { messages: [{ role: Role.USER, parts: [image] }] } },
    };
    // Known from what /api/show says that the model can do.
    expect(await generate(engine, { prompt }).sink.over).toMatchObject({ reason: 'UNSUPPORTED_FIELD' });
    await expect(
      engine.connection.tokenize(create(PromptSchema, text('x')), AbortSignal.timeout(30_000)),
    ).rejects.toMatchObject({ reason: 'UNSUPPORTED_FIELD' });
    expect((await engine.state()).last).toEqual(before.last);
  });

  test('all of that was one load, and one question what the model can do', () => {
    expect(loads(engine)).toBe(1);
    expect(engine.lines.filter((line) => line.includes('"/api/show"'))).toHaveLength(1);
  });
});

test('what its model cannot do is refused by name, known or told', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startOne({}, { model: 'plain' });
  await engine.ready();
  // One that was not asked yet what the model can do, as of somebody else's server.
  const entry = entryOf({ model: 'plain', base_url: `http://127.0.0.1:${engine.port}` });
  const unasked = ollamaEngine(entry).connect(fakeSetting(''), { devices: [], ports: [] });
  closers.push(() => unasked.close());
  for (const { connection } of [engine, { connection: unasked }]) {
    const refusal = async (shape: RequestShape): Promise<unknown> => generate({ connection }, shape).sink.over;
    const named = (field: string) => ({ reason: 'UNSUPPORTED_FIELD', metadata: { field, engine: 'chat' } });
    expect(await refusal({ prompt: chat(), tools: [{ name: 'weather' }] })).toMatchObject(named('tools'));
    const thinking = named('chat_template_kwargs.enable_thinking');
    expect(await refusal({ prompt: chat({ enable_thinking: true }) })).toMatchObject(thinking);
    const sampling = { reasoningEffort: 'high' };
    expect(await refusal({ prompt: chat(), sampling })).toMatchObject(named('reasoning_effort'));
    expect(await refusal({ prompt: chat({ enable_thinking: false }) })).toBe('end');
  }
  expect((await engine.state()).served).toBe(2);
});

test('of a stream that is cut the count is a lower bound, of a whole one exact', { timeout: TIMEOUT_MS }, async () => {
  const whole = await startOne({ tokens: 6, splitUtf8: true });
  await whole.ready();
  const { sink } = generate(whole, { prompt: text('x') });
  expect(await sink.over).toBe('end');
  expect(sink.usage).toMatchObject({ completionTokens: 6 });
  const cut = await startOne({ tokens: 6, splitUtf8: true, cutAtToken: 4 });
  await cut.ready();
  const broken = generate(cut, { prompt: text('x') }).sink;
  expect(await broken.over).toMatchObject({ reason: 'ENGINE_LOST', metadata: { tokens_delivered: '2' } });
});

test('a version with a llama-server below', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startOne({}, { max_model_len: 64, env: { FAKE_LLAMA_SERVER: '1' } });
  await engine.ready();
  expect(engine.progress.map(({ stage }) => stage)).toEqual([
    ...['server up', 'loading weights', 'loading weights', 'allocating KV cache', 'loaded'],
  ]);
  expect(engine.lines.join('\n')).not.toContain('/api/show');
  const { sink } = generate(engine, { prompt: text('word '.repeat(100)) });
  expect(await sink.over).toMatchObject({ reason: 'CONTEXT_LENGTH_EXCEEDED' });
});

test('its devices are those of its place', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startOne({}, {}, [1, 3]);
  await engine.ready();
  expect(engine.record().env).toMatchObject({ CUDA_VISIBLE_DEVICES: '1,3' });
  expect(engine.record().env.OLLAMA_NUM_PARALLEL).toBeUndefined();
});

test('a load is not given up because a probe is short', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startOne({ startMs: 1_000 });
  const probe = () => engine.connection.probe(AbortSignal.timeout(200)).catch(() => undefined);
  await until(async () => (await probe()) !== undefined);
  expect(engine.lines.join('\n')).not.toContain('aborting load');
  expect(loads(engine)).toBe(1);
});

test('a model that embeds only is loaded, and embeds', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startOne({}, { model: 'nomic-embed-text', max_model_len: 10 });
  expect(await engine.ready()).toMatchObject({ modelId: 'nomic-embed-text' });
  const { connection } = engine;
  const signal = AbortSignal.timeout(10_000);
  const answer = await connection.embed?.(prompts('ab', 'abc'), undefined, signal);
  expect(answer).toEqual({
    vectors: [
      [2, 2.125, 2.25, 2.375],
      [3, 3.125, 3.25, 3.375],
    ],
    promptTokens: 2,
  });
  expect((await connection.embed?.(prompts('ab'), 2, signal))?.vectors).toEqual([[2, 2.125]]);
  expect((await engine.state()).last?.body).toMatchObject({ truncate: false, dimensions: 2 });
  await expect(connection.embed?.(prompts('much too long'), undefined, signal)).rejects.toMatchObject({
    reason: 'CONTEXT_LENGTH_EXCEEDED',
  });
  const ids = create(PromptSchema, { input: { case: 'tokenIds', value: { ids: [1] } } });
  await expect(connection.embed?.([ids], undefined, signal)).rejects.toMatchObject({ metadata: { field: 'input.0' } });
  expect(loads(engine)).toBe(1);
});

test('one that embeds only is loaded though the server does not say what it can do', {
  timeout: TIMEOUT_MS,
}, async () => {
  const engine = await startOne({}, { model: 'nomic-embed-text', env: { FAKE_TELLS_NOTHING: '1' } });
  expect(await engine.ready()).toMatchObject({ modelId: 'nomic-embed-text' });
  expect(loads(engine)).toBe(1);
});

test('a caller who leaves ends the generation in the engine', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startOne({ tokens: 100_000, everyMs: 5 });
  await engine.ready();
  const { sink, call } = generate(engine, { prompt: text('x') });
  await expect.poll(() => sink.deltas.length).toBeGreaterThan(1);
  call.abort.abort(new Error('left'));
  await sink.over;
  await expect.poll(() => engine.state()).toMatchObject({ running: 0, aborted: 1 });
});

test('a full queue is busy', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startOne({ tokens: 100_000, everyMs: 5 }, { env: { OLLAMA_MAX_QUEUE: '0' } });
  await engine.ready();
  const first = generate(engine, { prompt: text('x') });
  await expect.poll(() => first.sink.deltas.length).toBeGreaterThan(0);
  expect(await generate(engine, { prompt: text('y') }).sink.over).toMatchObject({ reason: 'ENGINE_BUSY' });
});

test.each([
  ['an error in mid-stream', { errorAtToken: 2 }, 'ENGINE_FAILED'],
  ['a cut stream', { cutAtToken: 2 }, 'ENGINE_LOST'],
  ['half a line', { halfChunkAtToken: 2 }, 'ENGINE_LOST'],
  ['an end with code 0', { exitAtToken: { token: 2, code: 0 } }, 'ENGINE_LOST'],
] as [string, FaultScript, string][])('%s', { timeout: TIMEOUT_MS }, async (_name, script, reason) => {
  const engine = await startOne({ tokens: 5, ...script });
  await engine.ready();
  const { sink } = generate(engine, { prompt: text('x') });
  expect(await sink.over).toMatchObject({ reason });
  expect(sink.text()).toBe(' t0 t1');
});

test('a character over two tokens and packets arrives whole', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startOne({ tokens: 6, splitUtf8: true });
  await engine.ready();
  const { sink } = generate(engine, { prompt: chat() });
  expect(await sink.over).toBe('end');
  expect(sink.text()).toBe('🙂🙂🙂');
});

test('a model that is not there is refused at once, before and after a start', { timeout: TIMEOUT_MS }, async () => {
  const hint = 'Fetch it with `ollama pull qwen3:4b`.';
  const entry = entryOf({ model: 'qwen3:4b', env: { OLLAMA_MODELS: folder } });
  await expect(ollamaEngine(entry).demand()).rejects.toMatchObject({ hint });
  const engine = await startOne({}, { model: 'qwen3:4b' });
  await expect(engine.ready(isRefused)).rejects.toMatchObject({ hint, failureCause: FailureCause.UNSUPPORTED_MODEL });
  expect(loads(engine)).toBe(0);
});

test('another server on its port does not have the model', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startOne({ wrongModel: 'llama3:latest' });
  await expect(engine.ready(isRefused)).rejects.toThrow("Ollama does not have the model 'qwen3:8b'");
});

test.each([
  ['oom-weights', FailureCause.OUT_OF_MEMORY_WEIGHTS],
  ['oom-kv', FailureCause.OUT_OF_MEMORY_KV_CACHE],
  ['unsupported-model', FailureCause.UNSUPPORTED_MODEL],
] as [FailedStart, FailureCause][])(
  'a load that fails, while the server lives on: %s',
  { timeout: TIMEOUT_MS },
  async (failStart, failureCause) => {
    const engine = await startOne({ failStart });
    const refused = (await engine.ready(isRefused).catch((error: unknown) => error)) as StartRefusedError;
    expect(refused).toMatchObject({ failureCause });
    expect(refused.message).not.toContain('/blobs');
    expect(loads(engine)).toBe(1);
  },
);

test.each([
  ['bad-flag', FailureCause.BAD_FLAG],
  ['device-busy', FailureCause.DEVICE_BUSY],
] as [FailedStart, FailureCause][])('a start that fails: %s', { timeout: TIMEOUT_MS }, async (failStart, cause) => {
  const engine = await startOne({ failStart });
  await expect(engine.child.exited).resolves.toMatchObject({ code: 1 });
  const failures = engine.connection.launch?.failures ?? [];
  await expect.poll(() => failureIn(engine.lines, failures)?.cause).toBe(cause);
});

describe('one that runs already', { timeout: TIMEOUT_MS }, () => {
  test('is asked for the model and its context, holds what it wants, and loads at the first request', async () => {
    const engine = await startOne({ tokens: 2 });
    const baseUrl = `http://127.0.0.1:${engine.port}`;
    const adapter = ollamaEngine(entryOf({ base_url: `${baseUrl}/`, max_model_len: 9_000 }));
    expect(adapter).toMatchObject({ lifecycle: 'attached', portCount: 0, address: baseUrl, deviceKind: 'remote' });
    expect(await adapter.demand()).toBeUndefined();
    const connection = adapter.connect(fakeSetting(''), { devices: [], ports: [] });
    closers.push(() => connection.close());
    await expect
      .poll(() => connection.probe(AbortSignal.timeout(30_000)).catch(() => undefined))
      .toEqual({ modelId: MODEL, contextTokens: undefined });
    expect(loads(engine)).toBe(0);
    const { sink } = generate({ connection }, { prompt: text('x') });
    expect(await sink.over).toBe('end');
    const { body } = (await engine.state()).last ?? {};
    expect(body).toMatchObject({ options: { num_ctx: 9_000 } });
    expect(body).not.toHaveProperty('shift');
    expect(await connection.probe(AbortSignal.timeout(30_000))).toEqual({ modelId: MODEL, contextTokens: 9_000 });
  });

  test('a missing model is told with what to do, a missing server as such', async () => {
    const engine = await startOne({});
    const at = (port: number) => {
      const entry = entryOf({ model: 'qwen3:4b', base_url: `http://127.0.0.1:${port}` });
      const connection = ollamaEngine(entry).connect(fakeSetting(''), { devices: [], ports: [] });
      closers.push(() => connection.close());
      return connection.probe(AbortSignal.timeout(30_000));
    };
    await expect.poll(() => at(engine.port).catch((error: Error) => error.message)).toContain('ollama pull qwen3:4b');
    await expect(at(1)).rejects.toMatchObject({ reason: 'NO_HEALTHY_ENGINE' });
  });

  test('a key that is not set is refused', () => {
    const entry = entryOf({ base_url: 'http://127.0.0.1:1', api_key_env: 'NO_SUCH_VARIABLE' });
    const adapter = ollamaEngine(entry);
    expect(() => adapter.connect(fakeSetting(''), { devices: [], ports: [] })).toThrow('NO_SUCH_VARIABLE is not set');
  });
});
