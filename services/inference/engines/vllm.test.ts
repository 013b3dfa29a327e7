import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FinishReason } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { PromptSchema } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import {
  chat,
  MODEL,
  type Shape,
  signal,
  start,
  startReady,
  TIMEOUT_MS,
  text,
  type Vllm,
} from '../../../test/engines/vllm/start.ts';

const tokens = (length: number, id = 7): Shape['prompt'] & object => ({
  input: { case: 'tokenIds', value: { ids: new Array<number>(length).fill(id) } },
});

describe('one that behaves', { timeout: TIMEOUT_MS }, () => {
  let engine: Vllm;
  beforeAll(async () => {
    engine = start(
      { tokens: 4, texts: [' ä', ' €', ' EN', 'D!'] },
      { max_model_len: 4_096, tool_call_parser: 'hermes', reasoning_parser: 'qwen3' },
      [0],
    );
    await engine.untilReady();
  }, TIMEOUT_MS);
  afterAll(() => engine.close());

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
      max_tokens: 4_096,
      prompt: 'Once',
      temperature: 0.5,
      top_k: 5,
      seed: 3,
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
    });
  });

  test('what is asked for is clipped to the context, which vLLM in turn clips to what the prompt leaves', async () => {
    await engine.run({ prompt: chat(), sampling: { maxTokens: 9_999 } });
    expect((await engine.state()).last?.body.max_tokens).toBe(4_096);
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
    const long = async (length: number) => (await engine.run({ prompt: tokens(length) })).outcome;
    const reason = 'CONTEXT_LENGTH_EXCEEDED';
    expect(await long(5_000)).toMatchObject({ reason, metadata: { prompt_tokens: '5000', context_tokens: '4096' } });
    expect(await long(4_096)).toMatchObject({ reason, metadata: { prompt_tokens: '4096', context_tokens: '4096' } });
    expect(await long(4_095)).toBe('end');
  });

  test('what only its engine refuses, under the status 200, is refused too', async () => {
    const refusal = async (shape: Shape) => (await engine.run(shape)).outcome;
    const reason = 'INVALID_FIELD';
    expect(await refusal({ prompt: tokens(1, 999_999) })).toMatchObject({
      reason,
      message: 'Token id 999999 is out of vocabulary',
    });
    expect(await refusal({ prompt: text('x'), sampling: { logitBias: { 999999: 1 } } })).toMatchObject({
      reason,
      metadata: { field: 'logit_bias', engine: 'chat' },
    });
  });

  test('stop texts beyond the four that it takes are looked for here', async () => {
    const sink = await engine.run({ prompt: text('x'), sampling: { stop: ['a', 'b', 'c', 'd', '€ E'] } });
    expect(sink.text()).toBe(' ä ');
    expect(sink.finished).toMatchObject([{ reason: FinishReason.STOP, matchedStop: '€ E' }]);
    expect(sink.usage).toMatchObject({ promptTokens: 5 });
    expect((await engine.state()).last?.body.stop).toEqual(['a', 'b', 'c', 'd']);
    for (const sampling of [{ choices: 2 }, { minTokens: 3 }]) {
      const { outcome } = await engine.run({ prompt: text('x'), sampling: { stop: [...'abcde'], ...sampling } });
      expect(outcome).toMatchObject({ reason: 'UNSUPPORTED_FIELD', metadata: { field: 'stop' } });
    }
  });

  test('tokenizes text and chats', async () => {
    const tokenize = (shape: Shape['prompt'] & object) =>
      engine.connection.tokenize(create(PromptSchema, shape), signal());
    expect(await tokenize(text('one two three'))).toEqual([1, 2, 3]);
    expect((await tokenize(chat())).length).toBeGreaterThan(0);
    expect(await tokenize({ input: { case: 'tokenIds', value: { ids: [9] } } })).toEqual([9]);
    expect(engine.connection.embed).toBeUndefined();
  });
});

test('a text without a limit goes on to its own end', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startReady({ tokens: 40 });
  const sink = await engine.run({ prompt: text('x') });
  expect(sink.finished).toMatchObject([{ reason: FinishReason.STOP }]);
  expect(sink.usage).toMatchObject({ completionTokens: 40 });
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
