import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Client } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { FinishReason } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { PromptSchema, Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { FakeState } from '../../../test/engines/kit/engine-state.ts';
import { type FailedStart, type FaultScript, scripted } from '../../../test/engines/kit/fault-script.ts';
import {
  type EngineFolder,
  engineFolder,
  failureIn,
  type StartedEngine,
  startEngine,
  until,
} from '../../../test/engines/launched-engine.ts';
import { RecordingSink, recordingCall } from '../../../test/engines/recording-sink.ts';
import { RANDOM_MODEL } from '../../../test/fixtures/embedded-engine.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { modelEntrySchema } from './model-entry.ts';
import { vllmEngine } from './vllm.ts';
import type { VllmEntry } from './vllm-entry.ts';

type Shape = Extract<MessageInitShape<typeof GenerateRequestSchema>, { $typeName?: never }>;

const MODEL = 'Qwen/Qwen3-8B';
const TIMEOUT_MS = 90_000;
const signal = (): AbortSignal => AbortSignal.timeout(TIMEOUT_MS);

/** A running fake and its folder. */
interface Vllm extends StartedEngine {
  readonly folder: EngineFolder;
  /** The fake's own count. */
  state(): Promise<FakeState>;
}

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

function entryOf(fields: object): VllmEntry {
  const entry = modelEntrySchema.parse({ name: 'chat', engine: 'vllm', model: MODEL, ...fields });
  if (entry.engine !== 'vllm') throw new Error('another engine');
  return entry;
}

function start(script: FaultScript, fields: object = {}, devices: readonly number[] = []): Vllm {
  const folder = engineFolder();
  const env = { HF_TOKEN: 'hf-secret-value', ...scripted(script, folder.recordFile) };
  const engine = startEngine(vllmEngine(entryOf({ env, ...fields })), folder, { devices });
  return {
    ...engine,
    folder,
    async state() {
      const { args = [] } = engine.connection.launch ?? {};
      const client = new Client('http://localhost', { socketPath: args[args.indexOf('--uds') + 1] ?? '' });
      const { body } = await client.request({ method: 'GET', path: '/fake/state' });
      const state = (await body.json()) as FakeState;
      await client.close();
      return state;
    },
    async close() {
      await engine.close();
      folder.remove();
    },
  };
}

async function startReady(...parameters: Parameters<typeof start>): Promise<Vllm> {
  const engine = start(...parameters);
  closers.push(() => engine.close());
  await engine.untilReady();
  return engine;
}

const text = (value: string): Shape['prompt'] & object => ({ input: { case: 'text', value } });
const chat = (templateOptions?: Record<string, boolean>): Shape['prompt'] & object => ({
  input: {
    case: 'chat',
    value: {
      messages: [{ role: Role.USER, parts: [{ part: { case: 'text', value: 'Hello you' } }] }],
      ...(templateOptions ? { templateOptions } : {}),
    },
  },
});

describe('one that behaves', { timeout: TIMEOUT_MS }, () => {
  let engine: Vllm;
  beforeAll(async () => {
    engine = start(
      { tokens: 4, texts: [' ä', ' €', ' EN', 'D!'] },
      {
        devices: [3, 1],
        max_model_len: 4_096,
        max_concurrency: 16,
        dtype: 'bfloat16',
        tool_call_parser: 'hermes',
        reasoning_parser: 'qwen3',
      },
      [3, 1],
    );
    await engine.untilReady();
  }, TIMEOUT_MS);
  afterAll(() => engine.close());

  test('is started on a socket, with its key in no argument and on its devices alone', () => {
    const { argv, env } = engine.record();
    const socket = argv[argv.indexOf('--uds') + 1];
    expect(socket).toMatch(new RegExp(`^${engine.folder.directory}/[0-9a-f]{8}\\.sock$`));
    expect(argv).toEqual([
      ...['serve', MODEL, '--uds', socket, '--served-model-name', MODEL, '--enable-request-id-headers'],
      ...['--no-enable-log-requests', '--disable-uvicorn-access-log'],
      ...['--enable-auto-tool-choice', '--tool-call-parser', 'hermes', '--reasoning-parser', 'qwen3'],
      ...['--gpu-memory-utilization', '0.9', '--tensor-parallel-size', '2'],
      ...['--max-model-len', '4096', '--max-num-seqs', '16', '--dtype', 'bfloat16'],
    ]);
    const { FAKE_SCRIPT: _, FAKE_RECORD: __, ...own } = env;
    expect(own).toMatchObject({
      CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
      CUDA_VISIBLE_DEVICES: '3,1',
      VLLM_NO_USAGE_STATS: '1',
      DO_NOT_TRACK: '1',
      HF_HUB_DISABLE_TELEMETRY: '1',
      HF_TOKEN: 'hf-secret-value',
      VLLM_API_KEY: expect.stringMatching(/^[\w-]{32}$/),
      MESH_ENGINE_MARK: engine.child.mark,
    });
    expect(engine.connection.launch?.secrets).toEqual([own.VLLM_API_KEY, 'hf-secret-value']);
    const few = [
      'PATH',
      'NODE_COMPILE_CACHE',
      'HOME',
      'LANG',
      'TMPDIR',
      'LD_LIBRARY_PATH',
      'NO_COLOR',
      'SPT_NOENV',
      'PWD',
      'SHLVL',
      'OLDPWD',
      '_',
    ];
    const expected = ['CUDA_', 'VLLM_', 'HF_', 'DO_NOT', 'MESH_ENGINE_MARK', 'RAY_'];
    const others = Object.keys(own).filter(
      (name) => !few.includes(name) && !expected.some((one) => name.startsWith(one)),
    );
    expect(others).toEqual([]);
  });

  test('tells how far it is, then what it serves and how busy it is', async () => {
    expect(
      engine.progress.map(({ stage, percent }) => (percent === undefined ? stage : `${stage} ${percent}`)),
    ).toEqual([
      'reading the model',
      'reading the model',
      'starting the engine',
      'loading weights',
      'loading weights 0',
      'loading weights 67',
      'weights are loaded',
      'compiling',
      'sizing the KV cache',
      'sizing the KV cache',
      'capturing CUDA graphs 45',
      'ready',
    ]);
    expect(engine.progress.find(({ contextTokens }) => contextTokens)?.contextTokens).toBe(4_096);
    const { step } = await engine.state();
    expect(await engine.connection.probe(signal())).toMatchObject({
      modelId: MODEL,
      contextTokens: 4_096,
      running: 0,
      waiting: 0,
      step,
      kvCacheUsed: expect.any(Number),
    });
  });

  test('continues a text, without a limit as far as the context goes', async () => {
    const sink = await engine.run({
      model: 'm',
      prompt: text('Once'),
      sampling: { temperature: 0.5, seed: 3n, topK: 5 },
    });
    expect(sink.outcome).toBe('end');
    expect(sink.text()).toBe(' ä € END!');
    expect(sink.finished).toMatchObject([{ reason: FinishReason.STOP }]);
    expect(sink.usage).toMatchObject({ promptTokens: 5, completionTokens: 4, cachedTokens: 2 });
    const { last } = await engine.state();
    expect(last?.path).toBe('/v1/completions');
    expect(last?.headers['x-request-id']).toBe('req_test');
    expect(last?.body).toEqual({
      model: MODEL,
      max_tokens: null,
      prompt: 'Once',
      temperature: 0.5,
      top_k: 5,
      seed: 3,
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
    });
  });

  test('continues token ids and tells those that it made', async () => {
    const prompt: Shape['prompt'] = { input: { case: 'tokenIds', value: { ids: [5, 6] } } };
    const sink = await engine.run({ prompt, sampling: { returnTokenIds: true, maxTokens: 4 } });
    expect(sink.deltas.flatMap(({ tokenIds }) => tokenIds)).toEqual([1_000, 1_001, 1_002, 1_003]);
    expect(sink.finished).toMatchObject([{ reason: FinishReason.LENGTH }]);
    expect((await engine.state()).last?.body).toMatchObject({ prompt: [5, 6], return_token_ids: true, max_tokens: 4 });
  });

  test('makes several completions, each with log-probabilities', async () => {
    const sink = await engine.run({ prompt: text('x'), sampling: { choices: 2, logprobs: true, topLogprobs: 2 } });
    expect([sink.text(0), sink.text(1)]).toEqual([' ä € END!', ' ä € END!']);
    expect(sink.deltas[0]?.logprobs[0]).toMatchObject({ token: ' ä', logprob: -0.5 });
    expect(sink.deltas[0]?.logprobs[0]?.top.map(({ token }) => token)).toContain('alt1');
    expect(sink.usage?.completionTokens).toBe(8);
    expect((await engine.state()).last?.body).toMatchObject({ n: 2, logprobs: 2 });
  });

  test('answers a chat; a stop text is told', async () => {
    const sampling = { stop: ['END'], logprobs: true, topLogprobs: 1, stopTokenIds: [7], reasoningEffort: 'low' };
    const sink = await engine.run({ prompt: chat(), sampling });
    expect(sink.finished).toMatchObject([{ reason: FinishReason.STOP, matchedStop: 'END' }]);
    expect(sink.deltas[0]?.logprobs[0]?.bytes).toEqual(new Uint8Array(Buffer.from(' ä')));
    const { last } = await engine.state();
    expect(last?.path).toBe('/v1/chat/completions');
    expect(last?.body).toMatchObject({
      messages: [{ role: 'user', content: 'Hello you' }],
      stop: ['END'],
      stop_token_ids: [7],
      logprobs: true,
      top_logprobs: 1,
      reasoning_effort: 'low',
    });
    expect(last?.body).not.toHaveProperty('max_tokens');
  });

  test('reasons apart from its text, under the name that vLLM gives it now', async () => {
    const sink = await engine.run({ prompt: chat({ enable_thinking: true }) });
    expect(sink.deltas.map(({ reasoning }) => reasoning).join('')).toBe(' ä € END!');
    expect(sink.text()).toBe('');
    expect((await engine.state()).last?.body).toMatchObject({ chat_template_kwargs: { enable_thinking: true } });
  });

  test('calls tools and keeps to a format', async () => {
    const schema = { name: 'answer', schema: { type: 'object' }, strict: true };
    const sink = await engine.run({
      prompt: chat(),
      tools: [{ name: 'weather', parameters: { type: 'object' } }],
      toolChoice: { choice: { case: 'function', value: 'weather' } },
      responseFormat: { format: { case: 'jsonSchema', value: schema } },
    });
    const calls = sink.deltas.flatMap(({ toolCalls }) => toolCalls);
    expect(calls[0]).toMatchObject({ index: 0, id: 'chatcmpl-tool-1', name: 'weather' });
    expect(calls.map((call) => call.arguments).join('')).toBe(' ä € END!');
    expect(sink.finished).toMatchObject([{ reason: FinishReason.TOOL_CALLS }]);
    expect((await engine.state()).last?.body).toMatchObject({
      tools: [{ type: 'function', function: { name: 'weather' } }],
      tool_choice: { type: 'function', function: { name: 'weather' } },
      response_format: { type: 'json_schema', json_schema: schema },
    });
  });

  test("passes vLLM's own options on and refuses by name what it would ignore", async () => {
    const engineOptions = { cache_salt: 'tenant-1', bad_words: ['x'] };
    await engine.run({ prompt: text('x'), engineOptions });
    expect((await engine.state()).last?.body).toMatchObject(engineOptions);
    const before = (await engine.state()).served;
    for (const [field, request] of [
      ['guided_decoding_backend', { prompt: text('x'), engineOptions: { guided_decoding_backend: 'a' } }],
      ['typical_p', { prompt: chat(), engineOptions: { typical_p: 0.5 } }],
      ['echo', { prompt: chat(), engineOptions: { echo: true } }],
      ['reasoning_effort', { prompt: text('x'), sampling: { reasoningEffort: 'low' } }],
      ['tools', { prompt: text('x'), tools: [{ name: 'f' }] }],
    ] as [string, Shape][]) {
      const sink = await engine.run(request);
      expect(sink.outcome).toMatchObject({ reason: 'UNSUPPORTED_FIELD', metadata: { field, engine: 'chat' } });
    }
    expect((await engine.state()).served).toBe(before);
  });

  test('what vLLM refuses names the field; the context is told', async () => {
    const wrong = await engine.run({ prompt: text('x'), sampling: { temperature: 2.5 } });
    expect(wrong.outcome).toMatchObject({ reason: 'INVALID_FIELD', metadata: { field: 'temperature' } });
    const long = await engine.run({ prompt: text('x'), sampling: { maxTokens: 9_999 } });
    expect(long.outcome).toMatchObject({ reason: 'CONTEXT_LENGTH_EXCEEDED', metadata: { context_tokens: '4096' } });
  });

  test('tokenizes text and chats', async () => {
    const tokens = (shape: Shape['prompt'] & object) =>
      engine.connection.tokenize(create(PromptSchema, shape), signal());
    expect(await tokens(text('one two three'))).toEqual([1, 2, 3]);
    expect((await tokens(chat())).length).toBeGreaterThan(0);
    expect(await tokens({ input: { case: 'tokenIds', value: { ids: [9] } } })).toEqual([9]);
    expect(engine.connection.embed).toBeUndefined();
  });

  test('nobody gets in without the key', async () => {
    const args = engine.connection.launch?.args ?? [];
    const client = new Client('http://localhost', { socketPath: args[args.indexOf('--uds') + 1] ?? '' });
    const { statusCode, body } = await client.request({ method: 'GET', path: '/v1/models' });
    await body.dump();
    await client.close();
    expect(statusCode).toBe(401);
  });
});

test('without a parser tools are refused by name', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startReady({});
  const sink = await engine.run({ prompt: chat(), tools: [{ name: 'f' }] });
  expect(sink.outcome).toMatchObject({ reason: 'UNSUPPORTED_FIELD', metadata: { field: 'tools' } });
  const { argv, env } = engine.record();
  expect(argv).not.toContain('--gpu-memory-utilization');
  expect(env.CUDA_VISIBLE_DEVICES).toBe('');
});

test('an embedding model embeds, in order, and generates nothing', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startReady({}, { task: 'embed' }, [0]);
  expect(engine.record().argv.slice(-2)).toEqual(['--runner', 'pooling']);
  const inputs = ['a', 'four', 'to'].map((value) => create(PromptSchema, text(value)));
  const answer = await engine.connection.embed?.(inputs, 2, signal());
  expect(answer).toEqual({
    vectors: [
      [1, 1.125],
      [4, 4.125],
      [2, 2.125],
    ],
    promptTokens: 15,
  });
  expect((await engine.state()).last?.body).toEqual({
    model: MODEL,
    input: ['a', 'four', 'to'],
    encoding_format: 'float',
    dimensions: 2,
  });
  const ids = create(PromptSchema, { input: { case: 'tokenIds', value: { ids: [1, 2, 3] } } });
  expect((await engine.connection.embed?.([ids], undefined, signal()))?.vectors).toEqual([[3, 3.125, 3.25, 3.375]]);
  await expect(engine.connection.embed?.([...inputs, ids], undefined, signal())).rejects.toMatchObject({
    reason: 'INVALID_FIELD',
    metadata: { field: 'inputs.3' },
  });
  const sink = await engine.run({ prompt: text('x') });
  expect(sink.outcome).toMatchObject({ reason: 'UNSUPPORTED_FIELD', metadata: { field: 'prompt' } });
});

test('a model that spans hosts runs on an existing Ray cluster', { timeout: TIMEOUT_MS }, async () => {
  const fields = { ray_address: '10.0.0.1:6379', devices: [0, 1], tensor_parallel_size: 4, pipeline_parallel_size: 2 };
  const engine = await startReady({}, fields, [0, 1]);
  const { argv, env } = engine.record();
  expect(env.RAY_ADDRESS).toBe('10.0.0.1:6379');
  expect(argv.slice(-8)).toEqual([
    ...['--gpu-memory-utilization', '0.9', '--tensor-parallel-size', '4', '--pipeline-parallel-size', '2'],
    ...['--distributed-executor-backend', 'ray'],
  ]);
});

test.each([
  [{}, { count: 1, indices: undefined, shares: false, claim: { kind: 'share', share: 0.9 } }],
  [
    { devices: [2, 3], gpu_memory_utilization: 0.4 },
    { count: 2, indices: [2, 3], claim: { kind: 'share', share: 0.4 } },
  ],
  [
    { tensor_parallel_size: 2, pipeline_parallel_size: 2 },
    { count: 4, indices: undefined },
  ],
  [
    { devices: [5], ray_address: 'auto', tensor_parallel_size: 8 },
    { count: 1, indices: [5] },
  ],
])('an entry with %j asks for devices', async (fields, demand) => {
  expect(await vllmEngine(entryOf(fields)).demand()).toMatchObject({ fallsBackToCpu: false, ...demand });
});

test('what is needed is told by the files, unless they are quantized while they load', async () => {
  const needed = async (fields: object) =>
    (await vllmEngine(entryOf({ model: RANDOM_MODEL, max_model_len: 64, max_concurrency: 99, ...fields })).demand())
      ?.neededBytes;
  const stored = (await needed({})) ?? 0;
  expect(stored).toBeGreaterThan(0);
  // As many sequences as there may be need not fit at a time.
  expect(await needed({ max_concurrency: 1 })).toBe(stored);
  expect(await needed({ quantization: 'fp8' })).toBe(0);
  expect(await needed({ quantization: 'awq' })).toBe(stored);
});

test('on the CPU and with no device of this host in its Ray cluster it asks for none', async () => {
  expect(await vllmEngine(entryOf({ devices: [] })).demand()).toBeUndefined();
  expect(await vllmEngine(entryOf({ devices: [], ray_address: 'auto' })).demand()).toBeUndefined();
});

test('another model on its socket is told by its name', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startReady({ wrongModel: 'some/other' });
  expect(await engine.connection.probe(signal())).toMatchObject({ modelId: 'some/other' });
});

test('a caller who leaves ends the generation in the engine', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startReady({ tokens: 100_000, everyMs: 5 });
  const sink = new RecordingSink();
  const call = recordingCall();
  engine.connection.generate(create(GenerateRequestSchema, { prompt: text('x') }), call, sink);
  await until(() => sink.deltas.length > 1);
  expect(await engine.connection.probe(signal())).toMatchObject({ running: 1 });
  call.abort.abort(new MeshError('CLIENT_GONE', 'left'));
  expect(await sink.over).toMatchObject({ reason: 'CLIENT_GONE' });
  await until(async () => (await engine.connection.probe(signal())).running === 0);
  expect(await engine.state()).toMatchObject({ running: 0, aborted: 1 });
});

test('one that hangs answers its probe, with running requests and no step', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startReady({ tokens: 9, hangAtToken: 2 });
  const sink = new RecordingSink();
  const call = recordingCall();
  engine.connection.generate(create(GenerateRequestSchema, { prompt: text('x') }), call, sink);
  await until(async () => (await engine.state()).hung);
  expect(await engine.connection.probe(signal())).toMatchObject({ running: 1, step: 2 });
  expect(await engine.connection.probe(signal())).toMatchObject({ running: 1, step: 2 });
  expect(sink.text()).toBe(' t0 t1');
  call.abort.abort(new MeshError('CLIENT_GONE', 'left'));
  await sink.over;
});

test.each([
  ['an error chunk under status 200', { errorAtToken: 2 }, 'ENGINE_FAILED'],
  ['a cut stream', { cutAtToken: 2 }, 'ENGINE_LOST'],
  ['half a chunk', { halfChunkAtToken: 2 }, 'ENGINE_LOST'],
  ['an end with code 0', { exitAtToken: { token: 2, code: 0 } }, 'ENGINE_LOST'],
] as [string, FaultScript, string][])('%s', { timeout: TIMEOUT_MS }, async (_name, script, reason) => {
  const engine = await startReady({ tokens: 5, ...script });
  const sink = await engine.run({ prompt: text('x') });
  expect(sink.outcome).toMatchObject({ reason });
  expect(sink.text()).toBe(' t0 t1');
  const metadata = (sink.outcome as MeshError).metadata;
  if (reason === 'ENGINE_LOST') expect(metadata.tokens_delivered).toBe('2');
});

test('a character over two tokens and packets arrives whole, with both ids', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startReady({ tokens: 6, splitUtf8: true });
  const sink = await engine.run({ prompt: chat(), sampling: { returnTokenIds: true } });
  expect(sink.text()).toBe('🙂🙂🙂');
  expect(sink.deltas.every((delta) => !delta.text.includes('\ufffd'))).toBe(true);
  expect(sink.deltas.flatMap(({ tokenIds }) => tokenIds)).toEqual([1_000, 1_001, 1_002, 1_003, 1_004, 1_005]);
  expect(sink.usage?.completionTokens).toBe(6);
});

test('bytes that are no UTF-8 become replacement characters, and the rest arrives', {
  timeout: TIMEOUT_MS,
}, async () => {
  const engine = await startReady({ tokens: 3, invalidUtf8: true });
  const sink = await engine.run({ prompt: chat() });
  expect(sink.outcome).toBe('end');
  expect(sink.text()).toBe('\ufffd after t1 t2');
});

test.each([
  ['oom-weights', FailureCause.OUT_OF_MEMORY_WEIGHTS, 1],
  ['oom-kv', FailureCause.OUT_OF_MEMORY_KV_CACHE, 1],
  ['device-busy', FailureCause.DEVICE_BUSY, 1],
  ['bad-flag', FailureCause.BAD_FLAG, 2],
  ['unsupported-model', FailureCause.UNSUPPORTED_MODEL, 1],
  ['nccl', FailureCause.NCCL, 1],
] as [FailedStart, FailureCause, number][])(
  'a start that fails: %s',
  { timeout: TIMEOUT_MS },
  async (failStart, cause, code) => {
    const engine = start({ failStart });
    closers.push(() => engine.close());
    expect(await engine.child.exited).toMatchObject({ code });
    await engine.child.outputEnded;
    expect(failureIn(engine.lines, engine.connection.launch?.failures ?? [])?.cause).toBe(cause);
  },
);

test('an argument that it does not know is refused in its own words', { timeout: TIMEOUT_MS }, async () => {
  const engine = start({}, { extra_args: ['--colour', 'red'] });
  closers.push(() => engine.close());
  expect(await engine.child.exited).toMatchObject({ code: 2 });
  await engine.child.outputEnded;
  expect(engine.lines).toContain('vllm: error: unrecognized arguments: --colour');
  expect(failureIn(engine.lines, engine.connection.launch?.failures ?? [])?.cause).toBe(FailureCause.BAD_FLAG);
});
