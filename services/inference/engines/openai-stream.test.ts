import { create, toBinary, toJson } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  DeltaSchema,
  FinishReason,
  GenerationEventSchema,
} from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { FakeScript } from '../../../test/engines/fake-openai.ts';
import { attachOpenAi, chatRequest, type OpenAiAttachment } from '../../../test/engines/openai-attachment.ts';
import { OpenAiStream } from './openai-stream.ts';

const started = {
  $typeName: 'mesh.generation.v1.Started' as const,
  requestId: 'r',
  model: 'm',
  modelId: 'm',
  engine: 'chat',
  limits: [],
};

let openai: OpenAiAttachment;
beforeAll(async () => {
  openai = await attachOpenAi();
});
afterAll(() => openai.close());
beforeEach(() => openai.fake.script({}));

test('events come in order, tokens are counted, the bill is the last', async () => {
  const sink = await openai.run({ tokens: 3, everyMs: 20 });
  expect(sink.outcome).toBe('end');
  expect(sink.kinds).toEqual(['started', 'delta', 'delta', 'delta', 'finished', 'usage']);
  expect(sink.events[0]?.event.value).toMatchObject({
    requestId: 'req_test',
    engine: 'chat',
    modelId: 'm',
    model: 'alias',
  });
  expect(sink.deltas.map((delta) => delta.completionTokens)).toEqual([1, 2, 3]);
  expect(sink.text()).toBe(' t0 t1 t2');
  expect(sink.finished[0]).toMatchObject({ choice: 0, reason: FinishReason.STOP });
  expect(sink.usage).toMatchObject({ promptTokens: 5, completionTokens: 3, cachedTokens: 2 });
});

test('tokens that came in one read leave in one delta', async () => {
  const sink = await openai.run({ tokens: 50, perWrite: 50, tokenIds: true, pieceBytes: 64, corked: true });
  // The role chunk is a write of its own and has no text, so there is exactly one delta.
  expect(sink.deltas).toHaveLength(1);
  expect(sink.deltas[0]?.tokenIds).toHaveLength(50);
  expect(sink.deltas[0]?.completionTokens).toBe(50);
});

test('deltas are messages that encode like created ones', async () => {
  const sink = await openai.run({ tokens: 2, tokenIds: true, perWrite: 2 }, chatRequest({ logprobs: true }));
  const [event] = sink.events.filter((candidate) => candidate.event.case === 'delta');
  if (event?.event.case !== 'delta') throw new Error('no delta');
  const created = create(GenerationEventSchema, {
    event: { case: 'delta', value: create(DeltaSchema, event.event.value) },
  });
  expect(toBinary(GenerationEventSchema, event)).toEqual(toBinary(GenerationEventSchema, created));
  expect(toJson(GenerationEventSchema, event)).toEqual(toJson(GenerationEventSchema, created));
  expect(event.event.value.logprobs[0]).toMatchObject({ token: ' t0', logprob: -0.5, top: [{ token: 'z' }] });
});

test('several tokens in a chunk are counted by their ids, else by the running bill, else as one', async () => {
  const script = { tokens: 6, perChunk: 3, everyMs: 20 };
  const counts = async (extra: FakeScript) =>
    (await openai.run({ ...script, ...extra })).deltas.map((d) => d.completionTokens);
  expect(await counts({ tokenIds: true })).toEqual([3, 6]);
  expect(await counts({ continuousUsage: true })).toEqual([3, 6]);
  expect(await counts({})).toEqual([1, 2]);
  expect((await openai.run({ ...script, continuousUsage: true })).deltas[0]?.promptTokens).toBe(5);
});

test.each([
  [
    { message: 'bad bias', param: 'logit_bias', code: 400 },
    { reason: 'INVALID_FIELD', metadata: { field: 'logit_bias' } },
  ],
  [{ message: "This model's maximum context length is 9 tokens.", code: 400 }, { reason: 'CONTEXT_LENGTH_EXCEEDED' }],
  [{ message: 'no model', code: 404 }, { reason: 'ENGINE_FAILED' }],
  [{ message: 'it died', code: 500 }, { reason: 'ENGINE_FAILED' }],
  [{ message: 'it died' }, { reason: 'ENGINE_FAILED' }],
])('an error in a stream (%j) is what its code says, until a token has come', (error, expected) => {
  const send = (...chunks: object[]): unknown => {
    const stream = new OpenAiStream(started, 1);
    try {
      for (const chunk of chunks) stream.push(Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`));
      return undefined;
    } catch (thrown) {
      return thrown;
    }
  };
  expect(send({ choices: [{ index: 0, delta: { role: 'assistant' } }] }, { error })).toMatchObject(expected);
  expect(send({ choices: [{ index: 0, delta: { content: 'a' } }] }, { error })).toMatchObject({
    reason: 'ENGINE_FAILED',
  });
});

test('a server that sends no bill gets ours', async () => {
  const sink = await openai.run({ tokens: 4, omitUsage: true });
  expect(sink.outcome).toBe('end');
  expect(sink.usage).toMatchObject({ completionTokens: 4 });
});

test('a bill that is no bill is not believed', async () => {
  const sink = await openai.run({ tokens: 3, usage: { prompt_tokens: -1, completion_tokens: 'many' } });
  expect(sink.outcome).toBe('end');
  expect(sink.usage).toMatchObject({ promptTokens: 0, completionTokens: 3 });
});

test('a complete answer without [DONE] is complete', async () => {
  expect((await openai.run({ omitDone: true })).outcome).toBe('end');
});

test('several choices each have their text and their end', async () => {
  const sink = await openai.run({ tokens: 3 }, chatRequest({ choices: 2 }));
  expect(sink.text(0)).toBe(' t0 t1 t2');
  expect(sink.text(1)).toBe(' t0 t1 t2');
  expect(sink.finished.map((finished) => finished.choice)).toEqual([0, 1]);
  expect(sink.usage?.completionTokens).toBe(6);
});

test('reasoning, tool calls and the matched stop arrive typed', async () => {
  const reasoning = await openai.run({ tokens: 2, reasoning: true, stopReason: 'END', finishReason: 'stop' });
  expect(reasoning.deltas.map((delta) => delta.reasoning).join('')).toBe(' t0 t1');
  expect(reasoning.finished[0]?.matchedStop).toBe('END');
  const tools = await openai.run({ tokens: 2, toolCalls: true, finishReason: 'tool_calls', perWrite: 2 });
  expect(tools.deltas[0]?.toolCalls).toMatchObject([
    { id: 'call_1', name: 'f', arguments: ' t0' },
    { arguments: ' t1' },
  ]);
  expect(tools.finished[0]?.reason).toBe(FinishReason.TOOL_CALLS);
});

test('text survives every way of cutting the bytes', async () => {
  for (const pieceBytes of [1, 3, 7]) {
    const sink = await openai.run({
      tokens: 2,
      texts: ['grüße 🦊', '日本'],
      pieceBytes,
      lineEnd: '\r\n',
      comments: true,
    });
    expect(sink.outcome).toBe('end');
    expect(sink.text()).toBe('grüße 🦊日本');
  }
});

test('however the bytes are cut, the text and its count are the same', () => {
  const text = fc.string({ unit: fc.constantFrom('a', '"', '\\', '\n', 'é', '🦊', ' '), minLength: 1, maxLength: 20 });
  const streams = fc.record({ texts: fc.array(text, { minLength: 1, maxLength: 12 }), cuts: fc.array(fc.nat(2_000)) });
  fc.assert(
    fc.property(streams, ({ texts, cuts }) => {
      const chunks = texts.map((content) => ({ choices: [{ index: 0, delta: { content }, finish_reason: null }] }));
      const bytes = Buffer.from(chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join(''));
      const stream = new OpenAiStream(started, 1);
      let told = '';
      let tokens = 0;
      let start = 0;
      for (const end of [...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length]) {
        stream.push(bytes.subarray(start, end));
        start = end;
        for (const { event } of stream.take()) {
          if (event.case !== 'delta') continue;
          told += event.value.text;
          tokens = event.value.completionTokens;
        }
      }
      expect(told).toBe(texts.join(''));
      expect(tokens).toBe(texts.length);
    }),
  );
});

test('invalid UTF-8 is replaced, not fatal', async () => {
  const sink = await openai.run({ tokens: 2, rawHex: 'ff41', pieceBytes: 1 });
  expect(sink.outcome).toBe('end');
  expect(sink.text()).toBe('\ufffdA t1');
});
