import stringWidth from 'string-width';
import { expect, test } from 'vitest';
import { progressLine } from './progress-bar.ts';
import { tableLines } from './table.ts';
import { Output, type OutputStream } from './terminal.ts';
import { bytesWord, countWord, spanWord } from './words.ts';

/** A window that shows nothing; without columns a pipe. */
const windowOf = (columns?: number, env: NodeJS.ProcessEnv = {}): Output =>
  new Output({ ...(columns === undefined ? {} : { isTTY: true, columns }) } as unknown as OutputStream, env);

const COLUMNS = [
  { title: 'ID', of: ([id]: string[]) => id ?? '' },
  { title: 'NAME', of: ([, name]: string[]) => name ?? '', mayShrink: true },
  { title: 'COUNT', of: ([, , count]: string[]) => count ?? '', isFigure: true },
];

test('a table is as wide as it must be in a pipe, figures to the right', () => {
  expect(
    tableLines(
      COLUMNS,
      [
        ['abc', 'a name', '7'],
        ['d', 'b', '1,234,567'],
      ],
      windowOf(),
    ),
  ).toEqual(['ID   NAME        COUNT', 'abc  a name          7', 'd    b       1,234,567']);
});

test('in a window the widest columns that may shrink do, and ids stay whole', () => {
  const rows = [['an-id-to-copy', 'x'.repeat(200), '7']];
  const lines = tableLines(COLUMNS, rows, windowOf(40));
  expect(lines.map((line) => stringWidth(line))).toEqual([40, 40]);
  expect(lines[1]).toMatch(/^an-id-to-copy {2}x+… {2} +7$/);
});

test.each([1, 5, 12, 30])('no line is wider than a window of %i, wide characters too', (columns) => {
  const rows = [['id', '漢字かな交じり文'.repeat(9), '7']];
  for (const line of tableLines(COLUMNS, rows, windowOf(columns)))
    expect(stringWidth(line)).toBeLessThanOrEqual(columns);
});

test('names of strangers cannot move the cursor or make lines', () => {
  const [, line = ''] = tableLines(COLUMNS, [['id', 'a\u001b[2J\nb', '7']], windowOf(80, { NO_COLOR: '1' }));
  expect(line).toBe('id  a\\u001b[2J b      7');
});

test.each([
  [80, 50, /^\[█{15}░{15}\] {3}50 % {2}starting: loading weights {2}1\.2 s$/],
  [60, 100, /^\[█+\] {2}100 % {2}starting: loading weights {2}1\.2 s$/],
  [40, 50, /^ 50 % {2}starting: loading weights {2}1\.2 s$/],
  [20, 50, /^ 50 % {2}starting: l.*…$/],
  [80, undefined, /^starting: loading weights {2}1\.2 s$/],
])('a bar in %i columns at %s percent', (width, percent, expected) => {
  const line = progressLine({ stage: 'starting: loading weights', percent, elapsed: '1.2 s' }, width);
  expect(line).toMatch(expected);
  expect(stringWidth(line)).toBeLessThanOrEqual(width);
});

test('figures in words', () => {
  expect([0, 850, 12_345, 250_000, 3_600_000, 180_000_000].map(spanWord)).toEqual([
    '0 ms',
    '850 ms',
    '12.3 s',
    '4 m 10 s',
    '1 h 0 m',
    '2 d 2 h',
  ]);
  expect([0n, 999, 1_234_567n].map(countWord)).toEqual(['0', '999', '1,234,567']);
  expect([512, 1_536, 25_448_000_000, 5e13].map(bytesWord)).toEqual(['512 B', '1.5 KiB', '23.7 GiB', '45.5 TiB']);
});
