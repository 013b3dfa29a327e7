import { request } from 'node:http';
import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GenerateRequestSchema, ToolMode } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { FinishReason, type GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { FaultScript } from '../../../test/engines/kit/fault-script.ts';
import { engineFolder, fakeState, type StartedEngine, until } from '../../../test/engines/launched-engine.ts';
import {
  chat,
  entryOf,
  probe,
  promptOf,
  socketOf,
  start,
  TIMEOUT_MS,
  text,
  withFake,
} from '../../../test/engines/llama-server/start.ts';
import { RecordingSink, recordingCall } from '../../../test/engines/recording-sink.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { llamaServerEngine } from './llama-server.ts';
import { LlamaServerChatStream } from './llama-server-chat-stream.ts';
import { StartRefusedError } from './start-refused.ts';

const WEATHER = { name: 'weather' };
const JSON_TEXT = { format: { case: 'jsonObject' as const, value: true } };
const named = { case: 'function' as const, value: 'weather' };
const required = { case: 'mode' as const, value: ToolMode.REQUIRED };

describe('generations', () => {
  const folder = engineFolder();
  let engine: StartedEngine;

  beforeAll(async () => {
    engine = start(folder);
    await engine.untilReady();
  }, TIMEOUT_MS);

  afterAll(async () => {
    await engine.close();
    folder.remove();
  });

  const state = () => fakeState(socketOf(engine));
  const lastBody = async () => (await state()).last;

  test('text: native route, token ids, log-probabilities, the prompt counted from the start', async () => {
    const sink = await engine.run({
      prompt: text('Once'),
      sampling: {
        maxTokens: 3,
        temperature: 0.5,
        topP: 0.9,
        topK: 40,
        minP: 0.1,
        repetitionPenalty: 1.1,
        frequencyPenalty: 0.2,
        presencePenalty: 0.3,
        seed: 7n,
        logprobs: true,
        topLogprobs: 2,
        returnTokenIds: true,
        ignoreEndOfTurn: true,
        logitBias: { 5: -1 },
      },
      engineOptions: { mirostat: 2 },
    });
    expect(sink.outcome).toBe('end');
    expect(sink.text()).toBe(' t0 t1 t2');
    expect(sink.deltas.flatMap(({ tokenIds }) => tokenIds)).toEqual([1000, 1001, 1002]);
    expect(sink.deltas[0]?.promptTokens).toBe(5);
    const [logprob] = sink.deltas.flatMap(({ logprobs }) => logprobs);
    expect(logprob).toMatchObject({ token: ' t0', logprob: -0.5, tokenId: 1000 });
    expect(Buffer.from(logprob?.bytes ?? []).toString()).toBe(' t0');
    expect(logprob?.top.map(({ token }) => token)).toEqual(['alt0', 'alt1']);
    expect(sink.finished).toMatchObject([{ reason: FinishReason.LENGTH }]);
    expect(sink.usage).toMatchObject({
      promptTokens: 5,
      completionTokens: 3,
      cachedTokens: 2,
      prefillSeconds: 0.01,
      decodeSeconds: 0.02,
    });
    expect(await lastBody()).toMatchObject({
      path: '/completion',
      body: {
        prompt: 'Once',
        stream: true,
        return_tokens: true,
        n_predict: 3,
        temperature: 0.5,
        top_p: 0.9,
        top_k: 40,
        min_p: 0.1,
        repeat_penalty: 1.1,
        frequency_penalty: 0.2,
        presence_penalty: 0.3,
        seed: 7,
        n_probs: 2,
        ignore_eos: true,
        logit_bias: { 5: -1 },
        mirostat: 2,
      },
    });
  });

  test('token ids as prompt; none are told that nobody asked for', async () => {
    const sink = await engine.run({
      prompt: { input: { case: 'tokenIds', value: { ids: [4, 5] } } },
      sampling: { maxTokens: 2 },
    });
    expect(sink.text()).toBe(' t0 t1');
    expect(sink.deltas.flatMap(({ tokenIds, logprobs }) => [...tokenIds, ...logprobs])).toEqual([]);
    expect((await lastBody())?.body.prompt).toEqual([4, 5]);
  });

  test('log-probabilities without alternatives', async () => {
    const sink = await engine.run({ prompt: text('a'), sampling: { maxTokens: 1, logprobs: true } });
    expect(sink.deltas.flatMap(({ logprobs }) => logprobs)).toMatchObject([{ token: ' t0', top: [] }]);
    expect((await lastBody())?.body.n_probs).toBe(1);
  });

  test.each([text('a'), chat('a')])('several completions (%#)', async (prompt) => {
    const sink = await engine.run({ prompt, sampling: { choices: 3, maxTokens: 2 } });
    expect([0, 1, 2].map((choice) => sink.text(choice))).toEqual([' t0 t1', ' t0 t1', ' t0 t1']);
    expect(sink.finished.map(({ choice }) => choice)).toEqual([0, 1, 2]);
    expect(sink.usage).toMatchObject({ completionTokens: 6 });
  });

  test('more completions than slots: its refusal', async () => {
    const { outcome } = await engine.run({ prompt: text('a'), sampling: { choices: 5 } });
    expect(outcome).toMatchObject({
      reason: 'INVALID_FIELD',
      message: 'n: Value must be between 1 <= value <= 4, but got 5',
      metadata: { field: 'n', engine: 'chat' },
    });
  });

  test('a refused engine option is named', async () => {
    const { outcome } = await engine.run({ prompt: text('a'), engineOptions: { mirostat: 'two' } });
    expect(outcome).toMatchObject({
      message: 'mirostat: type must be number, but is string',
      metadata: { field: 'mirostat' },
    });
  });

  test('a stop text, wherever it ends, is told by name', async () => {
    const sink = await engine.run({ prompt: text('a'), sampling: { maxTokens: 6, stop: ['t2', 'zz'] } });
    expect(sink.text()).toBe(' t0 t1 ');
    expect(sink.finished).toMatchObject([{ reason: FinishReason.STOP, matchedStop: 't2' }]);
    expect(sink.usage).toMatchObject({ completionTokens: 3 });
  });

  test('a JSON Schema: its own field for text, the common one for chat', async () => {
    const schema = { type: 'object', properties: { a: { type: 'string' } } };
    const responseFormat = { format: { case: 'jsonSchema' as const, value: { name: 'n', schema } } };
    expect((await engine.run({ prompt: text('a'), responseFormat })).outcome).toBe('end');
    expect((await lastBody())?.body.json_schema).toEqual(schema);
    expect((await engine.run({ prompt: chat('a'), responseFormat })).outcome).toBe('end');
    expect((await lastBody())?.body.response_format).toMatchObject({ type: 'json_schema' });
  });

  test('chat: reasoning apart, its name for the penalty, usage', async () => {
    const prompt = create(GenerateRequestSchema, { prompt: chat('Hi') }).prompt;
    if (prompt?.input.case === 'chat') prompt.input.value.templateOptions = { enable_thinking: true };
    const sink = await engine.run({
      prompt,
      sampling: { maxTokens: 2, repetitionPenalty: 1.2, reasoningEffort: 'low' },
    });
    expect(sink.deltas.map(({ reasoning }) => reasoning).join('')).toBe(' t0 t1');
    expect(sink.usage).toMatchObject({ promptTokens: 5, completionTokens: 2, cachedTokens: 2 });
    const last = await lastBody();
    expect(last).toMatchObject({
      path: '/v1/chat/completions',
      body: { repeat_penalty: 1.2, reasoning_effort: 'low', chat_template_kwargs: { enable_thinking: true } },
    });
    expect(last?.body.repetition_penalty).toBeUndefined();
  });

  test('chat: log-probabilities are asked for with at least one alternative', async () => {
    const sink = await engine.run({ prompt: chat('Hi'), sampling: { maxTokens: 1, logprobs: true } });
    expect(sink.deltas.flatMap(({ logprobs }) => logprobs)).toMatchObject([{ token: ' t0', logprob: -0.5 }]);
    expect((await lastBody())?.body).toMatchObject({ logprobs: true, top_logprobs: 1 });
  });

  test('tools', async () => {
    const sink = await engine.run({
      prompt: chat('Hi'),
      tools: [WEATHER],
      toolChoice: { choice: required },
      sampling: { maxTokens: 2 },
    });
    const calls = sink.deltas.flatMap(({ toolCalls }) => toolCalls);
    expect(calls.flatMap(({ name }) => name ?? [])).toEqual(['weather']);
    expect(sink.finished).toMatchObject([{ reason: FinishReason.TOOL_CALLS }]);
  });

  test.each([
    ['return_token_ids', { prompt: chat('a'), sampling: { returnTokenIds: true } }],
    ['min_tokens', { prompt: text('a'), sampling: { minTokens: 5 } }],
    ['stop_token_ids', { prompt: text('a'), sampling: { stopTokenIds: [5] } }],
    ['echo', { prompt: text('a'), echoPrompt: true }],
    ['guided_regex', { prompt: text('a'), engineOptions: { guided_regex: 'a+' } }],
    ['tool_choice', { prompt: chat('a'), tools: [WEATHER], toolChoice: { choice: named } }],
    ['tool_choice', { prompt: chat('a'), toolChoice: { choice: required } }],
    [
      'tool_choice',
      { prompt: chat('a'), tools: [WEATHER], toolChoice: { choice: required }, responseFormat: JSON_TEXT },
    ],
  ])('%s is refused by name before anything starts', async (field, request) => {
    const before = (await state()).served;
    const { outcome } = await engine.run(request);
    expect(outcome).toMatchObject({ reason: 'UNSUPPORTED_FIELD', metadata: { field, engine: 'chat' } });
    expect((await state()).served).toBe(before);
  });

  test('an image is refused by name, unless there is a projector for it', async () => {
    const parts = [{ part: { case: 'imageUrl' as const, value: 'data:image/png;base64,AA==' } }];
    const prompt = { input: { case: 'chat' as const, value: { messages: [{ role: Role.USER, parts }] } } };
    expect((await engine.run({ prompt })).outcome).toMatchObject({ reason: 'UNSUPPORTED_FIELD' });
    const sees = (extra_args: string[]) => llamaServerEngine(entryOf({ extra_args })).capabilities.images;
    expect([sees([]), sees(['--mmproj', 'p.gguf']), sees(['--mmproj=p.gguf'])]).toEqual([false, true, true]);
  });

  test.each([-1n, 2n ** 32n])('the seed %s would become another one and is refused', async (seed) => {
    const { outcome } = await engine.run({ prompt: text('a'), sampling: { seed } });
    expect(outcome).toMatchObject({ reason: 'INVALID_FIELD', metadata: { field: 'seed' } });
  });

  test.each([text('very long'), chat('very long')])('too long: the numbers reach the caller (%#)', async (prompt) => {
    expect((await engine.run({ prompt })).outcome).toMatchObject({
      reason: 'CONTEXT_LENGTH_EXCEEDED',
      metadata: { prompt_tokens: '9000', context_tokens: '8192' },
    });
  });

  test('tokenize: text, conversation and ids, as its own routes see them', async () => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    expect(await engine.connection.tokenize(promptOf(text('one two')), signal)).toEqual([1, 100, 101]);
    expect(await engine.connection.tokenize(promptOf(chat('one two')), signal)).toEqual([1, 100, 101, 102]);
  });

  test('it has no embeddings unless asked', () => {
    expect(engine.connection.embed).toBeUndefined();
  });
});

test(
  'tools are refused by name where the template has none, and only there',
  () =>
    withFake(
      {},
      async (engine) => {
        expect((await probe(engine)).capabilities).toMatchObject({ tools: false, json: true });
        const { outcome } = await engine.run({ prompt: chat('a'), tools: [WEATHER] });
        expect(outcome).toMatchObject({ reason: 'UNSUPPORTED_FIELD', metadata: { field: 'tools', engine: 'chat' } });
        expect((await engine.run({ prompt: chat('a') })).outcome).toBe('end');
      },
      { extra_args: ['--chat-template', 'chatml'] },
    ),
  TIMEOUT_MS,
);

test(
  'its key is asked for everywhere but for its health, before anything else',
  async () => {
    const folder = engineFolder();
    const engine = start(folder, { startMs: 3_000 });
    try {
      await until(() => engine.lines.length > 0);
      expect(await statusOf(engine, '/health')).toBe(503);
      expect(await statusOf(engine, '/v1/models')).toBe(401);
      await engine.untilReady();
      expect(await statusOf(engine, '/v1/models')).toBe(401);
    } finally {
      await engine.close();
      folder.remove();
    }
  },
  TIMEOUT_MS,
);

/** Without the key. */
function statusOf(engine: StartedEngine, path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: socketOf(engine), path }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    asked.on('error', reject).end();
  });
}

describe('embeddings', () => {
  test(
    'vectors, and no generation',
    () =>
      withFake(
        {},
        async ({ connection, run }) => {
          const inputs = [promptOf(text('a')), promptOf(text('bcd'))];
          const answer = await connection.embed?.(inputs, undefined, AbortSignal.timeout(TIMEOUT_MS));
          expect(answer?.vectors.map((vector) => vector[0])).toEqual([1, 3]);
          expect(answer?.promptTokens).toBe(10);
          const shorter = connection.embed?.(inputs, 2, AbortSignal.timeout(TIMEOUT_MS));
          await expect(shorter).rejects.toMatchObject({ reason: 'UNSUPPORTED_FIELD' });
          expect((await run({ prompt: text('a') })).outcome).toMatchObject({ reason: 'UNSUPPORTED_FIELD' });
        },
        { task: 'embed', model: '/models/Qwen3-Embedding-0.6B-Q8_0.gguf' },
      ),
    TIMEOUT_MS,
  );

  test(
    'a model without a pooling is refused before it is ready, unless it is told one',
    async () => {
      const folder = engineFolder();
      const engine = start(folder, {}, { task: 'embed' });
      try {
        let refusal: unknown;
        await until(async () => {
          refusal = await probe(engine).catch((error: unknown) => error);
          return refusal instanceof StartRefusedError;
        });
        expect(refusal).toMatchObject({
          failureCause: FailureCause.UNSUPPORTED_MODEL,
          hint: expect.stringContaining('--pooling'),
        });
      } finally {
        await engine.close();
        folder.remove();
      }
      await withFake({}, async (told) => expect(await probe(told)).toMatchObject({ contextTokens: 8192 }), {
        task: 'embed',
        extra_args: ['--pooling', 'mean'],
      });
    },
    TIMEOUT_MS,
  );
});

describe('trouble', () => {
  test(
    'an abort reaches the engine',
    () =>
      withFake({ everyMs: 20 }, async (engine) => {
        const sink = new RecordingSink();
        const call = recordingCall();
        sink.onEvent = ({ event }) => {
          if (event.case === 'delta') call.abort.abort(new MeshError('CLIENT_GONE', 'gone'));
        };
        const request = create(GenerateRequestSchema, { prompt: text('a'), sampling: { maxTokens: 4000 } });
        engine.connection.generate(request, call, sink);
        expect(await sink.over).toMatchObject({ reason: 'CLIENT_GONE' });
        await until(async () => (await fakeState(socketOf(engine))).aborted === 1);
        expect(await probe(engine)).toMatchObject({ running: 0 });
      }),
    TIMEOUT_MS,
  );

  test.each<[string, FaultScript, string]>([
    ['an error in mid-stream', { errorAtToken: 2 }, 'ENGINE_FAILED'],
    ['a cut', { cutAtToken: 2 }, 'ENGINE_LOST'],
    ['a cut within an event', { halfChunkAtToken: 2 }, 'ENGINE_LOST'],
    ['the end of the process', { exitAtToken: { token: 2, code: 0 } }, 'ENGINE_LOST'],
  ])(
    '%s, on both routes',
    async (_, script, reason) => {
      for (const prompt of [text('a'), chat('a')]) {
        await withFake(script, async ({ run }) => {
          const sink = await run({ prompt, sampling: { maxTokens: 5 } });
          expect(sink.outcome).toMatchObject({ reason });
          expect((sink.outcome as MeshError).message).not.toContain('secret');
          expect(sink.text()).toBe(' t0 t1');
        });
      }
    },
    TIMEOUT_MS,
  );

  test(
    'a character over two tokens and many packets stays whole and is counted as two; bytes that are none are replaced',
    async () => {
      await withFake({ splitUtf8: true }, async ({ run }) => {
        for (const prompt of [text('a'), chat('a')]) {
          const sink = await run({ prompt, sampling: { maxTokens: 6 } });
          expect(sink.text()).toBe('🙂🙂🙂');
          expect(sink.usage?.completionTokens).toBe(6);
        }
      });
      await withFake({ invalidUtf8: true }, async ({ run }) => {
        const sink = await run({ prompt: text('a'), sampling: { maxTokens: 2 } });
        expect(sink.text()).toBe('\ufffd after t1');
      });
    },
    TIMEOUT_MS,
  );

  test(
    'a hung engine: its health is fine, its step stands still',
    () =>
      withFake({ hangAtToken: 2 }, async (engine) => {
        const call = recordingCall();
        const sink = new RecordingSink();
        engine.connection.generate(create(GenerateRequestSchema, { prompt: text('a') }), call, sink);
        await until(async () => (await fakeState(socketOf(engine))).hung);
        const first = await probe(engine);
        expect(first).toMatchObject({ running: 1, step: 2 });
        expect((await probe(engine)).step).toBe(first.step);
        call.abort.abort(new MeshError('CLIENT_GONE', 'gone'));
        await sink.over;
      }),
    TIMEOUT_MS,
  );
});

test('chat is counted as it goes, held characters included; ids and alternatives as asked', () => {
  const started = {
    $typeName: 'mesh.generation.v1.Started' as const,
    requestId: 'r',
    model: 'm',
    modelId: 'm',
    engine: 'chat',
    limits: [],
  };
  const stream = new LlamaServerChatStream(started, 1, { tokenIds: false, topLogprobs: 0 });
  const top_logprobs = [{ id: 7, token: 'b', bytes: [98], logprob: -1 }];
  const content = [{ id: 6, token: 'a', bytes: [97], logprob: -0.5, top_logprobs }];
  const choices = [{ index: 0, delta: { content: 'a' }, logprobs: { content }, finish_reason: null }];
  const timings = { prompt_n: 3, cache_n: 2, predicted_n: 4, prompt_ms: 10, predicted_ms: 20 };
  stream.push(Buffer.from(`data: ${JSON.stringify({ choices, timings })}\n\n`));
  const events: readonly GenerationEvent[] = stream.take();
  expect(events.map(({ event }) => event.value)).toMatchObject([
    started,
    { text: 'a', completionTokens: 4, promptTokens: 5, logprobs: [{ token: 'a', tokenId: 6, top: [] }] },
  ]);
});
