import { expect, test } from 'vitest';
import { OpenAiStream } from './openai-stream.ts';

const started = {
  $typeName: 'mesh.generation.v1.Started' as const,
  requestId: 'r',
  model: 'm',
  modelId: 'm',
  engine: 'chat',
  limits: [],
};

const bill = (completion_tokens: number) => ({ prompt_tokens: 6, completion_tokens });
const token = (index: number, predicted?: number) => ({
  choices: [{ index, delta: { content: 'a' }, finish_reason: null }],
  ...(predicted === undefined ? {} : { timings: { prompt_n: 1, cache_n: 5, predicted_n: predicted } }),
});
const finish = (...indices: number[]) => ({
  choices: indices.map((index) => ({ index, delta: {}, finish_reason: 'length' })),
});
const total = (completion_tokens: number) => ({ choices: [], usage: bill(completion_tokens) });

/** Feeds the chunks of two choices; returns the stream as it is then. */
function streamOf(...chunks: object[]): OpenAiStream {
  const stream = new OpenAiStream(started, 2);
  for (const chunk of chunks) stream.push(Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`));
  return stream;
}

function billOf(...chunks: object[]): unknown {
  const stream = streamOf(...chunks);
  stream.push(Buffer.from('data: [DONE]\n\n'));
  return stream.take().at(-1)?.event.value;
}

test.each<[string, object[]]>([
  ['one for all', [token(0), token(1), finish(0), finish(1), total(7)]],
  ['one for all behind a chunk that ends both', [token(0), token(1), finish(0, 1), total(7)]],
  ['one for all, twice', [token(0), token(1), finish(0), finish(1), total(7), total(7)]],
  ['a running one for all', [token(0), total(3), token(1), finish(0), total(5), finish(1), total(7)]],
  ['one for each, as llama-server', [token(1), token(0), finish(1), total(3), token(0), finish(0), total(4)]],
  ['of one choice beside each chunk, of all in the end', [{ ...finish(0), usage: bill(3) }, finish(1), total(7)]],
  [
    'beside the chunks alone',
    [
      { ...finish(0), usage: bill(4) },
      { ...finish(1), usage: bill(7) },
    ],
  ],
])('two choices, a bill: %s', (_, chunks) => {
  expect(billOf(...chunks)).toMatchObject({ promptTokens: 6, completionTokens: 7 });
});

test('a bill that counts one choice only is not less than what came', () => {
  const beside = { ...finish(1), usage: bill(1) };
  expect(billOf(token(0), token(0), token(1), finish(0), beside)).toMatchObject({ completionTokens: 3 });
});

test('what came before a cut is counted by each choice as the server counts it', () => {
  expect(streamOf(token(0, 2), token(1, 3), token(0, 4)).completionTokens).toBe(7);
  expect(streamOf(token(0), token(1), finish(0), total(4)).completionTokens).toBe(5);
});
