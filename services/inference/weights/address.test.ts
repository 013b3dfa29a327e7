import { expect, test } from 'vitest';
import { isAddress, parseAddress } from './address.ts';

test.each([
  ['https://example.com/models/a.gguf', 'a.gguf'],
  ['https://example.com:8443/%E6%A8%A1%E5%9E%8B%20Q8.gguf', '模型 Q8.gguf'],
  ['http://127.0.0.1:9000/a.gguf', 'a.gguf'],
  ['http://[::1]:9000/a.gguf', 'a.gguf'],
  ['HTTPS://EXAMPLE.com/a.gguf', 'a.gguf'],
])('%s is an address', (text, fileName) => {
  expect(isAddress(text)).toBe(true);
  expect(parseAddress(text)).toMatchObject({ fileName, text: new URL(text).href });
});

test.each([
  'https://',
  'https://example.com',
  'https://example.com/',
  'https://example.com/model',
  'https://example.com/a.gguf/',
  'https://example.com/a.gguf?signature=x',
  'https://example.com/a.gguf#part',
  'https://user:password@example.com/a.gguf',
  'http://example.com/a.gguf',
  'http://127.0.0.1.example.com/a.gguf',
  'https://example.com/..%2f..%2fa.gguf',
  'https://example.com/folder%2fa.gguf',
  'https://example.com/a%00.gguf',
  'https://example.com/a%5cb.gguf',
  'https://example.com/%.gguf',
  'https://example.com/.lock.gguf',
  'https://example.com/big-00001-of-00003.gguf',
  `https://example.com/${'a'.repeat(201)}.gguf`,
  'ftp://example.com/a.gguf',
  'a.gguf',
])('%s is none', (text) => {
  expect(parseAddress(text)).toBeUndefined();
});

test('a path is not taken for one', () => {
  for (const path of ['/https/a.gguf', 'https/a.gguf', './https:/a.gguf']) expect(isAddress(path)).toBe(false);
});
