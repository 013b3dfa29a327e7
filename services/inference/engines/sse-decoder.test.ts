import { expect, test } from 'vitest';
import { FrameTooLargeError, SseDecoder } from './sse-decoder.ts';

function decode(chunks: readonly (string | Buffer)[], limitBytes = 1_000): string[] {
  const seen: string[] = [];
  const decoder = new SseDecoder((data) => seen.push(data), limitBytes);
  for (const chunk of chunks) decoder.push(Buffer.from(chunk));
  return seen;
}

test('events end with an empty line; comments and other fields are skipped', () => {
  const text = ': ping\nevent: x\nid: 7\ndata: one\n\ndata:two\n\nretry: 5\n\ndata: half';
  expect(decode([text])).toEqual(['one', 'two']);
});

test('several data lines are one event', () => {
  expect(decode(['data: a\ndata: b\r\n\r\ndata:\n\n'])).toEqual(['a\nb', '']);
});

test('every cut of the bytes gives the same events', () => {
  const bytes = Buffer.from('data: grüße 🦊\r\n\r\n: c\ndata: 日本\n\n');
  for (let at = 0; at <= bytes.length; at++) {
    expect(decode([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(['grüße 🦊', '日本']);
  }
  expect(decode([...bytes].map((byte) => Buffer.from([byte])))).toEqual(['grüße 🦊', '日本']);
});

test('bytes that are no text are replaced', () => {
  expect(decode([Buffer.from('646174613a20ff410a0a', 'hex')])).toEqual(['\ufffdA']);
});

test('an endless line and an endless event are refused', () => {
  expect(() => decode(Array.from({ length: 20 }, () => 'x'.repeat(100)))).toThrow(FrameTooLargeError);
  expect(() => decode(Array.from({ length: 20 }, () => `data: ${'x'.repeat(100)}\n`))).toThrow(FrameTooLargeError);
});
