import { expect, test } from 'vitest';
import { NdjsonDecoder } from './ndjson-decoder.ts';
import { FrameTooLargeError } from './sse-decoder.ts';

const TEXT = '{"a":"äö €"}\n\n{"b":1}\r\n{"c":2}';

test.each([1, 2, 3, 7, 1_000])('lines in pieces of %i bytes are whole', (size) => {
  const lines: string[] = [];
  const decoder = new NdjsonDecoder((line) => lines.push(line), 64);
  const bytes = Buffer.from(TEXT);
  for (let at = 0; at < bytes.length; at += size) decoder.push(bytes.subarray(at, at + size));
  expect(lines).toEqual(['{"a":"äö €"}', '{"b":1}']);
  decoder.end();
  expect(lines.at(-1)).toBe('{"c":2}');
  decoder.end();
  expect(lines).toHaveLength(3);
});

test.each([10, 1_000])('a line over the limit in pieces of %i bytes is refused', (size) => {
  const decoder = new NdjsonDecoder(() => {}, 64);
  const bytes = Buffer.from(`${'x'.repeat(100)}\n`);
  expect(() => {
    for (let at = 0; at < bytes.length; at += size) decoder.push(bytes.subarray(at, at + size));
  }).toThrow(FrameTooLargeError);
});
