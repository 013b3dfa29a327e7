import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { OpenAiChunk } from './openai-chunk.ts';
import { RepeatedChunk } from './repeated-chunk.ts';

const textIn = ({ choices }: OpenAiChunk): unknown => choices?.[0]?.delta?.content;

function chunkOf(content: string, model = 'm', extra: object = {}): string {
  return JSON.stringify({ id: 'c', model, choices: [{ index: 0, delta: { content }, finish_reason: null }], ...extra });
}

test('only the text of a chunk like the one learned is cut out', () => {
  const repeated = new RepeatedChunk();
  expect(repeated.textOf(chunkOf(' a'))).toBeUndefined();
  repeated.learn(chunkOf(' a'), ' a', textIn);
  expect(repeated.textOf(chunkOf(' grüße 🦊'))).toBe(' grüße 🦊');
  expect(repeated.textOf(chunkOf(' b', 'other'))).toBeUndefined();
  expect(repeated.textOf(chunkOf(' b', 'm', { usage: {} }))).toBeUndefined();
  expect(repeated.textOf(chunkOf('"quoted"'))).toBeUndefined();
  expect(repeated.textOf(chunkOf(''))).toBeUndefined();
});

test('letters of the text that stand elsewhere are not taken for it', () => {
  const repeated = new RepeatedChunk();
  repeated.learn(chunkOf('gpt', 'gpt'), 'gpt', textIn);
  expect(repeated.textOf(chunkOf('gpt', 'other'))).toBeUndefined();
});

test('whatever a stream says, what is cut out is what parsing finds', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', '"', '\\', '\n', 'é', ',', '}', ' ') });
  const texts = fc.array(fc.record({ text: letters, model: fc.constantFrom('a', 'm') }), { minLength: 2 });
  let cut = 0;
  fc.assert(
    fc.property(texts, (chunks) => {
      const repeated = new RepeatedChunk();
      for (const { text, model } of chunks) {
        const data = chunkOf(text, model);
        const found = repeated.textOf(data);
        if (found === undefined) repeated.learn(data, text, textIn);
        else expect([found, data]).toEqual([text, chunkOf(found, model)]);
        if (found !== undefined) cut++;
      }
    }),
  );
  expect(cut).toBeGreaterThan(0);
});

test('a stream in which something else changes each time is not learned from for ever', () => {
  const repeated = new RepeatedChunk();
  let asked = 0;
  for (let at = 0; at < 20; at++) {
    const data = chunkOf(' a', 'm', { at });
    expect(repeated.textOf(data)).toBeUndefined();
    repeated.learn(data, ' a', (chunk) => {
      asked++;
      return textIn(chunk);
    });
  }
  expect(asked).toBe(3);
});
