import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { OpenAiChunk } from './openai-chunk.ts';
import { RepeatedChunk } from './repeated-chunk.ts';

const textIn = ({ choices }: OpenAiChunk): unknown => choices?.[0]?.delta?.content;

function chunkOf(content: string, model = 'm', extra: object = {}): string {
  return JSON.stringify({ id: 'c', model, choices: [{ index: 0, delta: { content }, finish_reason: null }], ...extra });
}

function taken(repeated: RepeatedChunk, ...chunks: string[]): { texts: string[]; rest: string } {
  const texts: string[] = [];
  const bytes = Buffer.from(chunks.map((chunk) => `data: ${chunk}\n\n`).join(''));
  const rest = bytes.toString(
    'utf8',
    repeated.take(bytes, (text) => texts.push(text)),
  );
  return { texts, rest };
}

test('only the text of events like the one learned is cut out', () => {
  const repeated = new RepeatedChunk();
  expect(taken(repeated, chunkOf(' a')).texts).toEqual([]);
  repeated.learn(chunkOf(' a'), ' a', textIn);
  expect(taken(repeated, chunkOf(' grüße 🦊'), chunkOf(' b'))).toEqual({ texts: [' grüße 🦊', ' b'], rest: '' });
  const others = [chunkOf(' b', 'other'), chunkOf(' b', 'm', { usage: {} }), chunkOf('"quoted"'), chunkOf('')];
  for (const other of others) {
    expect(taken(repeated, chunkOf(' b'), other, chunkOf(' c'))).toEqual({
      texts: [' b'],
      rest: `data: ${other}\n\ndata: ${chunkOf(' c')}\n\n`,
    });
  }
});

test('an event that has not come whole is left', () => {
  const repeated = new RepeatedChunk();
  repeated.learn(chunkOf(' a'), ' a', textIn);
  const bytes = Buffer.from(`data: ${chunkOf(' grüße')}\n\n`);
  for (let end = 0; end < bytes.length; end++) expect(repeated.take(bytes.subarray(0, end), expect.fail)).toBe(0);
});

test('bytes that are no text are replaced, and bytes that no JSON may hold are left to who refuses them', () => {
  const repeated = new RepeatedChunk();
  repeated.learn(chunkOf(' a'), ' a', textIn);
  const [before, after] = `data: ${chunkOf('?')}\n\n`.split('?');
  const texts: string[] = [];
  const take = (hex: string): number =>
    repeated.take(
      Buffer.concat([Buffer.from(before ?? ''), Buffer.from(hex, 'hex'), Buffer.from(after ?? '')]),
      (text) => texts.push(text),
    );
  expect(take('ff41')).toBeGreaterThan(0);
  for (const refused of ['410a', '41005c', '4109', '5c6e', '411f']) expect(take(refused)).toBe(0);
  expect(texts).toEqual(['\ufffdA']);
});

test('letters of the text that stand elsewhere are not taken for it', () => {
  const repeated = new RepeatedChunk();
  repeated.learn(chunkOf('gpt', 'gpt'), 'gpt', textIn);
  expect(taken(repeated, chunkOf('gpt', 'other')).texts).toEqual([]);
});

test('whatever a stream says, what is cut out is what parsing finds', () => {
  const letters = fc.string({
    unit: fc.constantFrom('a', '"', '\\', '\n', 'é', ',', '}', ' ', '🦊', '\u007f', '\u0085'),
  });
  const streams = fc.array(fc.record({ text: letters, model: fc.constantFrom('a', 'm') }), { minLength: 2 });
  let cut = 0;
  fc.assert(
    fc.property(streams, (chunks) => {
      const repeated = new RepeatedChunk();
      for (const { text, model } of chunks) {
        const data = chunkOf(text, model);
        const { texts, rest } = taken(repeated, data);
        expect(texts).toEqual(rest === '' ? [text] : []);
        if (rest === '') cut++;
        else repeated.learn(data, text, textIn);
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
    expect(taken(repeated, data).texts).toEqual([]);
    repeated.learn(data, ' a', (chunk) => {
      asked++;
      return textIn(chunk);
    });
  }
  expect(asked).toBe(3);
});
