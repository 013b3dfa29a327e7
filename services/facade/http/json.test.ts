import { expect, test } from 'vitest';
import { cpuMsOf } from '../../../test/harness/cpu-time.ts';
import { MAX_MEMBERS, MAX_NUMBERS, parseJson } from './json.ts';

const list = (element: string, count: number): Buffer => Buffer.from(`[${Array(count).fill(element).join()}]`);

test.each([
  ['members of objects', Buffer.from(`{${Array.from({ length: 800_000 }, (_, index) => `"k${index}":1`).join()}}`)],
  ['lists', list('[]', MAX_MEMBERS + 2)],
  ['strings', list('""', MAX_MEMBERS + 2)],
  ['numbers', list('1', MAX_NUMBERS + 2)],
])('too many %s are refused before they are parsed', (_name, bytes) => {
  const cpuMs = cpuMsOf(() => {
    expect(() => parseJson(bytes)).toThrow(
      expect.objectContaining({ status: 400, message: expect.stringMatching(/too many members/) }),
    );
  });
  // Parsing 800,000 members alone takes twice as long.
  expect(cpuMs).toBeLessThan(200);
});

test('as many as are allowed are parsed; what stands in strings does not count', () => {
  expect(parseJson(list('""', MAX_MEMBERS + 1))).toHaveLength(MAX_MEMBERS + 1);
  expect(parseJson(list('7', MAX_NUMBERS + 1))).toHaveLength(MAX_NUMBERS + 1);
  const text = ',:"\\'.repeat(MAX_MEMBERS);
  expect(parseJson(Buffer.from(JSON.stringify({ text })))).toEqual({ text });
});
