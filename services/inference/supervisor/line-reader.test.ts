import { expect, test } from 'vitest';
import { createLineReader, type LineReader } from './line-reader.ts';

interface Reading extends LineReader {
  readonly lines: string[];
  readonly dropped: number[];
  nowMs: number;
}

function reading(limit = 100): Reading {
  const [lines, dropped]: [string[], number[]] = [[], []];
  const taker = { line: (text: string) => lines.push(text), dropped: (count: number) => dropped.push(count) };
  const clock = { nowMs: 0 };
  return Object.assign(
    clock,
    createLineReader(taker, limit, () => clock.nowMs),
    { lines, dropped },
  );
}

test('pieces are cut into lines', () => {
  const reader = reading();
  for (const piece of ['one\ntw', 'o\r', '\n\n  three', ' \n']) reader.read(piece);
  expect(reader.lines).toEqual(['one', 'two', '  three ']);
});

test('a carriage return ends a line, as progress bars have it', () => {
  const reader = reading();
  reader.read('\rloading  25%');
  reader.read('\rloading  50%\rloading 100%');
  expect(reader.lines).toEqual(['loading  25%', 'loading  50%']);
});

test('last words need no end of line', () => {
  const reader = reading();
  reader.read('out of mem');
  reader.read('ory');
  expect(reader.lines).toEqual([]);
  reader.end();
  reader.end();
  expect(reader.lines).toEqual(['out of memory']);
});

test('a line without end is cut, and what follows it is whole', () => {
  const reader = reading(100);
  for (let index = 0; index < 1_000; index++) reader.read('x'.repeat(999));
  reader.read('\nnext\n');
  expect(reader.lines).toEqual(['x'.repeat(100), 'next']);
});

const MIB = 1024 * 1024;
const lineOf = (text: string): string => text.padEnd(99, '.');
const filler = (text: string): string => `${lineOf(text)}\n`.repeat(Math.ceil(MIB / 100));

test('a flood is left out but for its begin and its end, and counted', () => {
  const reader = reading();
  const piece = filler('noise');
  const perPiece = piece.split('\n').length - 1;
  for (let index = 0; index < 100; index++) reader.read(`${index} ${piece}`);
  reader.read('the reason');
  const taken = reader.lines.length;
  expect(taken).toBeGreaterThanOrEqual(4 * perPiece);
  expect(taken).toBeLessThanOrEqual(6 * perPiece);
  reader.end();
  expect(reader.lines.at(-1)).toBe('the reason');
  expect(reader.dropped).toHaveLength(1);
  expect(reader.lines.length + (reader.dropped[0] ?? 0)).toBe(100 * perPiece + 1);
});

test('of a line whose begin was left out nothing is shown: it could be half a secret', () => {
  const reader = reading();
  for (let index = 0; index < 10; index++) reader.read(filler('noise'));
  reader.read(`${filler('noise')}the key is s3c`);
  reader.read(`r3t\n${filler('after')}`);
  reader.lines.length = 0;
  reader.nowMs = 60_000;
  reader.read('and on\n');
  expect(new Set(reader.lines)).toEqual(new Set([lineOf('after'), 'and on']));
  expect(reader.dropped).toHaveLength(1);
});

test('the end of a flood is told though nothing follows', async () => {
  const reader = reading();
  for (let index = 0; index < 10; index++) reader.read(filler('noise'));
  reader.read('noise\nthe reason\n');
  expect(reader.lines.at(-1)).toBe(lineOf('noise'));
  reader.nowMs = 60_000;
  await expect.poll(() => reader.lines.at(-1)).toBe('the reason');
});

test('a steady stream within the rate is taken whole', () => {
  const reader = reading();
  const piece = filler('info').slice(0, 200 * 1024);
  for (let second = 0; second < 60; second++) {
    reader.nowMs = second * 1_000;
    reader.read(piece);
  }
  expect(reader.dropped).toEqual([]);
});
