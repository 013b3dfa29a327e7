import { create } from '@bufbuild/protobuf';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { FinishReason } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { PromptSchema } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import {
  chat,
  type EngineOnPort,
  generate,
  type RequestShape,
  startOnPort,
  text,
} from '../../../test/engines/engine-on-port.ts';
import type { FailedStart, FaultScript } from '../../../test/engines/kit/fault-script.ts';
import { failureIn } from '../../../test/engines/launched-engine.ts';
import { type ModelEntry, modelEntrySchema } from './model-entry.ts';
import { transformersEngine } from './transformers.ts';
import type { TransformersEntry } from './transformers-entry.ts';

const MODEL = 'Qwen/Qwen3-0.6B';
const TIMEOUT_MS = 60_000;

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

function entryOf(fields: object): TransformersEntry {
  const entry: ModelEntry = modelEntrySchema.parse({ name: 'chat', engine: 'transformers', model: MODEL, ...fields });
  if (entry.engine !== 'transformers') throw new Error('another engine');
  return entry;
}

interface EntryFields {
  readonly env?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

function start(script: FaultScript, fields: EntryFields = {}, devices: readonly number[] = []): Promise<EngineOnPort> {
  const own = { HF_HOME: '/models', HF_TOKEN: 'hf_secret_value', ...fields.env };
  return startOnPort((env) => transformersEngine(entryOf({ ...fields, env: { ...own, ...env } })), script, devices);
}

async function startOne(...parameters: Parameters<typeof start>): Promise<EngineOnPort> {
  const started = await start(...parameters);
  closers.push(() => started.close());
  return started;
}

describe('one that behaves', { timeout: TIMEOUT_MS }, () => {
  let engine: EngineOnPort;
  beforeAll(async () => {
    engine = await start({ tokens: 4, texts: [' ä', ' €', ' EN', 'D!'], everyMs: 10 }, { max_concurrency: 1 });
    await engine.ready();
  }, TIMEOUT_MS);
  afterAll(() => engine.close());

  test('is pinned to its model, on a loopback port, with nothing of ours but a few variables', () => {
    const { argv, env } = engine.record();
    const port = String(engine.port);
    expect(argv).toEqual(['serve', MODEL, '--host', '127.0.0.1', '--port', port, '--device', 'cpu']);
    const { FAKE_SCRIPT: _, FAKE_RECORD: __, PATH: ___, MESH_ENGINE_MARK: mark, ...own } = env;
    expect(mark).toMatch(/^[0-9a-f]{32}$/);
    expect(own).toMatchObject({
      CUDA_VISIBLE_DEVICES: '',
      CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
      HF_HOME: '/models',
      HF_HUB_DISABLE_TELEMETRY: '1',
      HF_HUB_DISABLE_UPDATE_CHECK: '1',
    });
    expect(Object.keys(own).filter((name) => name.startsWith('MESH'))).toEqual([]);
  });

  test('tells how far it is, and what it serves', async () => {
    expect(engine.progress).toEqual([
      { stage: 'loading' },
      { stage: 'downloading', percent: 50 },
      { stage: 'loading weights', percent: 0 },
      { stage: 'loading weights', percent: 45 },
      { stage: 'loading weights', percent: 100 },
      { stage: 'server up', percent: 100 },
      { stage: 'server up', percent: 100 },
    ]);
    expect(await engine.ready()).toEqual({ modelId: MODEL });
    expect((await engine.state()).generatedTokens).toBe(0);
  });

  test('continues a text', async () => {
    const sampling = { maxTokens: 4, temperature: 0.5, topP: 0.9, seed: 3n };
    const { sink } = generate(engine, { prompt: text('Once'), sampling });
    expect(await sink.over).toBe('end');
    expect(sink.text()).toBe(' ä € END!');
    expect(sink.events[0]?.event.value).toMatchObject({ modelId: MODEL, engine: 'chat' });
    expect(sink.finished).toMatchObject([{ reason: FinishReason.LENGTH }]);
    expect(sink.usage).toMatchObject({ promptTokens: 5, completionTokens: 4 });
    expect((await engine.state()).last).toMatchObject({
      path: '/v1/completions',
      body: { model: MODEL, prompt: 'Once', max_tokens: 4, temperature: 0.5, top_p: 0.9, seed: 3, stream: true },
    });
  });

  test('samples where it is asked to, whatever the model is configured for', async () => {
    const configured = async (sampling: NonNullable<RequestShape['sampling']>): Promise<unknown> => {
      expect(await generate(engine, { prompt: text('Once'), sampling }).sink.over).toBe('end');
      const { generation_config: told } = (await engine.state()).last?.body ?? {};
      return told === undefined ? undefined : JSON.parse(String(told));
    };
    expect(await configured({ temperature: 0.5, seed: 3n })).toEqual({ do_sample: true, max_new_tokens: 1_024 });
    expect(await configured({ topP: 0.5, maxTokens: 3 })).toEqual({ do_sample: true, max_new_tokens: 3 });
    expect(engine.lines.join('\n')).not.toContain('may be ignored');
    expect(await configured({ temperature: 0 })).toBeUndefined();
  });

  test('max_tokens of 0 is refused by name', async () => {
    const { sink } = generate(engine, { prompt: text('x'), sampling: { maxTokens: 0 } });
    expect(await sink.over).toMatchObject({ reason: 'INVALID_FIELD', metadata: { field: 'max_tokens' } });
  });

  test('a stop text ends the answer and is not part of it; the bill is the engine’s', async () => {
    const { sink } = generate(engine, { prompt: text('Once'), sampling: { stop: ['END'] } });
    expect(await sink.over).toBe('end');
    expect(sink.text()).toBe(' ä € ');
    expect(sink.finished).toMatchObject([{ reason: FinishReason.STOP, matchedStop: 'END' }]);
    expect(sink.usage).toMatchObject({ promptTokens: 5, completionTokens: 4 });
  });

  test('answers a chat, with reasoning apart and with tools', async () => {
    const thought = generate(engine, { prompt: chat({ enable_thinking: true }) }).sink;
    expect(await thought.over).toBe('end');
    expect(thought.deltas.map(({ reasoning }) => reasoning).join('')).toBe(' ä € END!');
    const { sink } = generate(engine, { prompt: chat(), tools: [{ name: 'weather' }] });
    expect(await sink.over).toBe('end');
    expect(sink.deltas.flatMap(({ toolCalls }) => toolCalls)).toMatchObject([
      { index: 0, name: 'weather', arguments: '{}' },
    ]);
    expect(sink.finished).toMatchObject([{ reason: FinishReason.TOOL_CALLS }]);
  });

  test.each([
    ['prompt', { prompt: { input: { case: 'tokenIds', value: { ids: [1] } } } }],
    ['n', { sampling: { choices: 2 } }],
    ['logprobs', { sampling: { logprobs: true } }],
    ['logit_bias', { sampling: { logitBias: { 1: 1 } } }],
    ['return_token_ids', { sampling: { returnTokenIds: true } }],
    ['top_k', { sampling: { topK: 5 } }],
    ['min_p', { sampling: { minP: 0.1 } }],
    ['frequency_penalty', { sampling: { frequencyPenalty: 0.1 } }],
    ['presence_penalty', { sampling: { presencePenalty: 0.1 } }],
    ['repetition_penalty', { sampling: { repetitionPenalty: 1.1 } }],
    ['reasoning_effort', { sampling: { reasoningEffort: 'low' } }],
    ['response_format', { responseFormat: { format: { case: 'jsonObject', value: true } } }],
    ['tool_choice', { tools: [{ name: 'f' }], toolChoice: { choice: { case: 'function', value: 'f' } } }],
  ] as [string, RequestShape][])('%s is refused by name, and nothing is asked', async (field, shape) => {
    const before = await engine.state();
    const { sink } = generate(engine, { prompt: chat(), ...shape });
    expect(await sink.over).toMatchObject({ reason: 'UNSUPPORTED_FIELD', metadata: { field, engine: 'chat' } });
    expect((await engine.state()).last).toEqual(before.last);
  });

  test('has no tokenizer route and no embeddings', async () => {
    const prompt = create(PromptSchema, text('x'));
    await expect(engine.connection.tokenize(prompt, AbortSignal.timeout(30_000))).rejects.toMatchObject({
      reason: 'UNSUPPORTED_FIELD',
    });
    expect(engine.connection.embed).toBeUndefined();
  });
});

test('devices, types and arguments reach it; its token is known as a secret', { timeout: TIMEOUT_MS }, async () => {
  const fields = { dtype: 'bfloat16', quantization: 'bnb-4bit', extra_args: ['--continuous-batching'] };
  const engine = await startOne({}, fields, [2, 0]);
  await engine.ready();
  const { argv, env } = engine.record();
  expect(argv.slice(6)).toEqual([
    ...['--device', 'auto', '--dtype', 'bfloat16', '--quantization', 'bnb-4bit', '--continuous-batching'],
  ]);
  expect(env).toMatchObject({ CUDA_VISIBLE_DEVICES: '2,0', HF_TOKEN: 'hf_secret_value' });
  expect(engine.connection.launch?.secrets).toContain('hf_secret_value');
  // With continuous batching every request would be sampled as the first one asked.
  const { sink } = generate(engine, { prompt: text('x'), sampling: { temperature: 0.5 } });
  expect(await sink.over).toMatchObject({ reason: 'UNSUPPORTED_FIELD', metadata: { field: 'temperature' } });
});

test('another model on its port is told by its name', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startOne({ wrongModel: 'some/other' });
  expect(await engine.ready()).toEqual({ modelId: 'some/other' });
});

test('a version without /health is known by what it is pinned to', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startOne({}, { env: { FAKE_OLDER: '1' } });
  expect(await engine.ready()).toEqual({ modelId: MODEL });
  expect(engine.progress[0]).toEqual({ stage: 'loading' });
});

test('told to end, it finishes what runs and ends by the signal', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startOne({ tokens: 20, everyMs: 20 });
  await engine.ready();
  const { sink } = generate(engine, { prompt: text('x') });
  await expect.poll(() => sink.deltas.length).toBeGreaterThan(1);
  engine.child.signal('SIGTERM');
  expect(await sink.over).toBe('end');
  expect(sink.usage).toMatchObject({ completionTokens: 20 });
  await expect(engine.child.exited).resolves.toMatchObject({ signal: 'SIGTERM' });
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

test.each([
  ['an error in mid-stream', { errorAtToken: 2 }, 'ENGINE_FAILED'],
  ['a cut stream', { cutAtToken: 2 }, 'ENGINE_LOST'],
  ['half a chunk', { halfChunkAtToken: 2 }, 'ENGINE_LOST'],
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

test.each([
  ['oom-weights', FailureCause.OUT_OF_MEMORY_WEIGHTS, 1],
  ['bad-flag', FailureCause.BAD_FLAG, 2],
  ['unsupported-model', FailureCause.UNSUPPORTED_MODEL, 1],
] as [FailedStart, FailureCause, number][])(
  'a start that fails: %s',
  { timeout: TIMEOUT_MS },
  async (failStart, cause, code) => {
    const engine = await startOne({ failStart });
    await expect(engine.child.exited).resolves.toMatchObject({ code });
    const failures = engine.connection.launch?.failures ?? [];
    await expect.poll(() => failureIn(engine.lines, failures)?.cause).toBe(cause);
  },
);

test('an argument that it does not know is refused in its own words', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startOne({}, { extra_args: ['--max-model-len', '9'] });
  await expect(engine.child.exited).resolves.toMatchObject({ code: 2 });
  await expect.poll(() => engine.lines.join('\n')).toContain("No such option '--max-model-len'");
});
