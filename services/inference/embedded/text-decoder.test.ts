import { expect, test } from 'vitest';
import { createTextDecoder } from './text-decoder.ts';

/** A vocabulary of bytes. */
const decoderOfBytes = () => createTextDecoder((tokens) => Buffer.from(tokens).toString('utf8'));

test('characters of one token pass at once', () => {
  expect(decoderOfBytes().push(0x61)).toEqual({ tokens: [0x61], text: 'a' });
});

test('a character of four tokens comes out whole', () => {
  const decoder = decoderOfBytes();
  const bytes = [...Buffer.from('🙂')];
  const pieces = bytes.map((byte) => decoder.push(byte));
  expect(pieces).toEqual([undefined, undefined, undefined, { tokens: bytes, text: '🙂' }]);
});

test('bytes that are no character are not held back for ever', () => {
  const decoder = decoderOfBytes();
  const pieces = [0xff, 0xff, 0xff, 0xff, 0x61].map((byte) => decoder.push(byte)?.text);
  expect(pieces).toEqual([undefined, undefined, undefined, '\uFFFD', '\uFFFD\uFFFD\uFFFDa']);
});

test('a character that begins among stray bytes comes out whole', () => {
  const decoder = decoderOfBytes();
  const bytes = [0xf0, 0x9f, 0xff, ...Buffer.from('🙂'), 0x61];
  expect(bytes.map((byte) => decoder.push(byte)?.text ?? '').join('')).toMatch(/^\uFFFD+🙂a$/);
});

test('the end lets an open character out', () => {
  const decoder = decoderOfBytes();
  decoder.push(0xc3);
  expect(decoder.flush()).toEqual({ tokens: [0xc3], text: '\uFFFD' });
  expect(decoder.flush()).toBeUndefined();
});
