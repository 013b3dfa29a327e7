import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GenerateRequestSchema, ToolMode } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { FinishReason } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { FaultScript } from '../../../test/engines/kit/fault-script.ts';
import { engineFolder, fakeState, until } from '../../../test/engines/launched-engine.ts';
import { RecordingSink, recordingCall } from '../../../test/engines/recording-sink.ts';
import { chat, type Started, start, TIMEOUT_MS, text, withFake } from '../../../test/engines/tgi/start.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';

describe('generations', () => {
  const folder = engineFolder();
  let engine: Started;

  beforeAll(async () => {
    engine = await start(folder, {}, { max_concurrency: 2 });
    await engine.untilReady();
  }, TIMEOUT_MS);

  afterAll(async () => {
    await engine.close();
    folder.remove();
  });

  const lastBody = async () => (await fakeState(engine.port)).last;

  test('text: native route, token ids, log-probabilities, usage', async () => {
    const sink = await engine.run({
      model: 'm',
      prompt: text('Once'),
      sampling: {
        maxTokens: 3,
        temperature: 0.5,
        topP: 0.9,
        topK: 40,
        repetitionPenalty: 1.1,
        frequencyPenalty: 0.2,
        seed: 7n,
        logprobs: true,
        topLogprobs: 2,
        returnTokenIds: true,
      },
    });
    expect(sink.outcome).toBe('end');
    expect(sink.text()).toBe(' t0 t1 t2');
    expect(sink.kinds.at(0)).toBe('started');
    expect(sink.deltas.flatMap(({ tokenIds }) => tokenIds)).toEqual([1000, 1001, 1002]);
    const [logprob] = sink.deltas.flatMap(({ logprobs }) => logprobs);
    expect(logprob).toMatchObject({ token: ' t0', logprob: -0.5, tokenId: 1000 });
    expect(logprob?.top.map(({ token }) => token)).toEqual(['alt0', 'alt1']);
    expect(sink.finished).toMatchObject([{ reason: FinishReason.LENGTH }]);
    expect(sink.usage).toMatchObject({ promptTokens: 5, completionTokens: 3 });
    expect(await lastBody()).toMatchObject({
      path: '/generate_stream',
      body: {
        inputs: 'Once',
        parameters: {
          details: true,
          do_sample: true,
          temperature: 0.5,
          max_new_tokens: 3,
          top_p: 0.9,
          top_k: 40,
          repetition_penalty: 1.1,
          frequency_penalty: 0.2,
          seed: 7,
          top_n_tokens: 2,
        },
      },
    });
  });

  test('temperature 0 is greedy; values that mean nothing are left out, as TGI refuses them', async () => {
    const sampling = { maxTokens: 1, temperature: 0, topP: 1, topK: 0, presencePenalty: 0, minP: 0 };
    for (const prompt of [text('a'), chat('a')]) {
      expect((await engine.run({ prompt, sampling })).outcome).toBe('end');
    }
    expect((await engine.run({ prompt: text('a'), sampling })).outcome).toBe('end');
    const parameters = (await lastBody())?.body.parameters as object;
    expect(Object.keys(parameters).sort()).toEqual(['details', 'do_sample', 'max_new_tokens']);
  });

  test('chat: template route, log-probabilities, usage', async () => {
    const sink = await engine.run({
      prompt: chat('Hi'),
      sampling: { maxTokens: 2, logprobs: true, topLogprobs: 1 },
    });
    expect(sink.text()).toBe(' t0 t1');
    expect(sink.deltas.flatMap(({ logprobs }) => logprobs)).toMatchObject([
      { token: ' t0', logprob: -0.5, top: [{ token: 'alt0' }] },
      { token: ' t1' },
    ]);
    expect(sink.usage).toMatchObject({ promptTokens: 5, completionTokens: 2 });
    expect(await lastBody()).toMatchObject({
      path: '/v1/chat/completions',
      body: { model: 'tgi', messages: [{ role: 'user', content: 'Hi' }], stream_options: { include_usage: true } },
    });
  });

  test('a JSON Schema in the words of its grammars, on both routes', async () => {
    const schema = { type: 'object', properties: { a: { type: 'string' } } };
    const responseFormat = { format: { case: 'jsonSchema' as const, value: { name: 'n', schema } } };
    const sampling = { maxTokens: 1 };
    expect((await engine.run({ prompt: text('a'), responseFormat, sampling })).outcome).toBe('end');
    expect((await lastBody())?.body.parameters).toMatchObject({ grammar: { type: 'json', value: schema } });
    expect((await engine.run({ prompt: chat('a'), responseFormat, sampling })).outcome).toBe('end');
    expect((await lastBody())?.body.response_format).toEqual({ type: 'json', value: schema });
  });

  test('tools: one name, one id', async () => {
    const sink = await engine.run({
      prompt: chat('Hi'),
      tools: [{ name: 'weather' }],
      toolChoice: { choice: { case: 'mode', value: ToolMode.REQUIRED } },
      sampling: { maxTokens: 20 },
    });
    const calls = sink.deltas.flatMap(({ toolCalls }) => toolCalls);
    expect(calls.flatMap(({ id }) => id ?? [])).toEqual(['0']);
    expect(calls.flatMap(({ name }) => name ?? [])).toEqual(['weather']);
    expect(calls.map((call) => call.arguments).join('')).toContain(' t0 t1 t2');
    const { tools } = ((await lastBody())?.body ?? {}) as { tools?: { function: object }[] };
    expect(tools?.[0]?.function).toEqual({ name: 'weather', parameters: { type: 'object', properties: {} } });
  });

  test.each([text('a'), chat('a')])('a stop text is not returned, wherever it ends (%#)', async (prompt) => {
    const atEnd = await engine.run({ prompt, sampling: { maxTokens: 6, stop: ['t2'] } });
    expect(atEnd.text()).toBe(' t0 t1 ');
    expect(atEnd.finished).toMatchObject([{ reason: FinishReason.STOP, matchedStop: 't2' }]);
    expect(atEnd.usage).toMatchObject({ promptTokens: 5, completionTokens: 3 });
  });

  test(
    'a stop text within a token ends the answer here and at the engine; the prompt is counted afterwards',
    () =>
      withFake({ texts: ['a', 'b.c', 'd'], everyMs: 50 }, async (slow) => {
        const sink = await slow.run({
          prompt: text('four words of prompt'),
          sampling: { maxTokens: 500, stop: ['.'] },
        });
        expect(sink.text()).toBe('ab');
        expect(sink.finished).toMatchObject([{ reason: FinishReason.STOP, matchedStop: '.' }]);
        expect(sink.usage).toMatchObject({ promptTokens: 4 });
        await until(async () => (await fakeState(slow.port)).aborted === 1);
        // At once, not when the exchange has waited for the rest in vain.
        expect((await fakeState(slow.port)).generatedTokens).toBeLessThan(18);
      }),
    TIMEOUT_MS,
  );

  test.each([
    ['prompt', { prompt: { input: { case: 'tokenIds' as const, value: { ids: [1, 2] } } } }],
    ['n', { prompt: text('a'), sampling: { choices: 2 } }],
    ['logit_bias', { prompt: text('a'), sampling: { logitBias: { 5: 1 } } }],
    ['min_p', { prompt: text('a'), sampling: { minP: 0.1 } }],
    ['presence_penalty', { prompt: chat('a'), sampling: { presencePenalty: 0.5 } }],
    ['top_k', { prompt: chat('a'), sampling: { topK: 5 } }],
    ['return_token_ids', { prompt: chat('a'), sampling: { returnTokenIds: true } }],
    ['min_tokens', { prompt: text('a'), sampling: { minTokens: 5 } }],
    ['ignore_eos', { prompt: text('a'), sampling: { ignoreEndOfTurn: true } }],
    ['echo', { prompt: text('a'), echoPrompt: true }],
    ['reasoning_effort', { prompt: chat('a'), sampling: { reasoningEffort: 'low' } }],
    ['guided_regex', { prompt: text('a'), engineOptions: { guided_regex: 'a+' } }],
  ])('%s is refused by name before anything starts', async (field, request) => {
    const before = await fakeState(engine.port);
    const { outcome } = await engine.run(request);
    expect(outcome).toMatchObject({ reason: 'UNSUPPORTED_FIELD', metadata: { field, engine: 'chat' } });
    const after = await fakeState(engine.port);
    expect(after.served + after.aborted).toBe(before.served + before.aborted);
  });

  test.each([text('a'), chat('a')])(
    'max_tokens that it would refuse are what the context leaves (%#)',
    async (prompt) => {
      const { outcome, events } = await engine.run({ prompt, sampling: { maxTokens: 5000 } });
      expect(outcome).toBe('end');
      expect(events.at(-1)?.event).toMatchObject({ case: 'usage', value: { promptTokens: 5, completionTokens: 4091 } });
    },
  );

  test('what it refuses is told under our name of the field', async () => {
    const { outcome } = await engine.run({ prompt: text('a'), sampling: { topP: 0 } });
    expect(outcome).toMatchObject({ reason: 'INVALID_FIELD', metadata: { field: 'top_p' } });
    expect((outcome as MeshError).message).not.toContain('`');
  });

  test('a negative seed is refused: TGI cannot read it', async () => {
    const { outcome } = await engine.run({ prompt: text('a'), sampling: { seed: -1n } });
    expect(outcome).toMatchObject({ reason: 'INVALID_FIELD', metadata: { field: 'seed' } });
  });

  test('tokenize: text and conversation; token ids are refused', async () => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const { prompt } = create(GenerateRequestSchema, { prompt: text('one two three') });
    expect(await engine.connection.tokenize(prompt as never, signal)).toEqual([100, 101, 102]);
    const talk = create(GenerateRequestSchema, { prompt: chat('one two') });
    expect(await engine.connection.tokenize(talk.prompt as never, signal)).toEqual([100, 101]);
    const ids = create(GenerateRequestSchema, { prompt: { input: { case: 'tokenIds', value: { ids: [1] } } } });
    await expect(engine.connection.tokenize(ids.prompt as never, signal)).rejects.toMatchObject({
      reason: 'UNSUPPORTED_FIELD',
    });
  });

  test('it has no embeddings', () => {
    expect(engine.connection.embed).toBeUndefined();
  });
});

test(
  'after a call it says "stop", and the reason is that tools are called',
  () =>
    withFake({ tokens: 3 }, async ({ run }) => {
      const calls = await run({ prompt: chat('Hi'), tools: [{ name: 'weather' }], sampling: { maxTokens: 9 } });
      expect(calls.finished).toMatchObject([{ reason: FinishReason.TOOL_CALLS }]);
      const talks = await run({ prompt: chat('Hi'), sampling: { maxTokens: 9 } });
      expect(talks.finished).toMatchObject([{ reason: FinishReason.STOP }]);
    }),
  TIMEOUT_MS,
);

describe('trouble', () => {
  test(
    'an abort reaches the engine',
    () =>
      withFake({ everyMs: 20 }, async ({ connection, port }) => {
        const sink = new RecordingSink();
        const call = recordingCall();
        sink.onEvent = ({ event }) => {
          if (event.case === 'delta') call.abort.abort(new MeshError('CLIENT_GONE', 'gone'));
        };
        const request = create(GenerateRequestSchema, { prompt: text('a'), sampling: { maxTokens: 4000 } });
        connection.generate(request, call, sink);
        expect(await sink.over).toMatchObject({ reason: 'CLIENT_GONE' });
        await until(async () => {
          const { running, aborted } = await fakeState(port);
          return running === 0 && aborted === 1;
        });
        expect(await connection.probe(AbortSignal.timeout(TIMEOUT_MS))).toMatchObject({ running: 0 });
      }),
    TIMEOUT_MS,
  );

  test(
    'overloaded is ENGINE_BUSY, although it comes under status 200',
    () =>
      withFake({ everyMs: 50 }, async ({ run, port, connection }) => {
        void connection;
        const long = Array.from({ length: 128 }, () => {
          const call = recordingCall();
          const sink = new RecordingSink();
          const request = create(GenerateRequestSchema, { prompt: text('a'), sampling: { maxTokens: 4000 } });
          connection.generate(request, call, sink);
          return { call, sink };
        });
        await until(async () => (await fakeState(port)).running === 128);
        for (const prompt of [text('a'), chat('a')]) {
          const { outcome } = await run({ prompt });
          expect(outcome).toMatchObject({ reason: 'ENGINE_BUSY' });
        }
        for (const { call } of long) call.abort.abort(new MeshError('CLIENT_GONE', 'gone'));
        await Promise.all(long.map(({ sink }) => sink.over));
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
          expect(sink.text()).toBe(' t0 t1');
        });
      }
    },
    TIMEOUT_MS,
  );

  test(
    'a character over two tokens and many packets stays whole; bytes that are none are replaced',
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
      withFake({ hangAtToken: 2 }, async ({ connection, port }) => {
        const call = recordingCall();
        const sink = new RecordingSink();
        connection.generate(create(GenerateRequestSchema, { prompt: text('a') }), call, sink);
        await until(async () => (await fakeState(port)).hung);
        const first = await connection.probe(AbortSignal.timeout(TIMEOUT_MS));
        const second = await connection.probe(AbortSignal.timeout(TIMEOUT_MS));
        expect(first).toMatchObject({ running: 1, step: 2 });
        expect(second.step).toBe(first.step);
        call.abort.abort(new MeshError('CLIENT_GONE', 'gone'));
        await sink.over;
      }),
    TIMEOUT_MS,
  );
});
