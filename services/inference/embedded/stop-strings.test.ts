import { expect, test } from 'vitest';
import { createStopFilter } from './stop-strings.ts';

/** Pushes texts (token n is the n-th text) and notes what comes out after each. */
function run(stops: string[], texts: string[]) {
  const filter = createStopFilter(stops);
  const out: string[] = [];
  const tokens: number[] = [];
  for (const [token, text] of texts.entries()) {
    const { piece, stop } = filter.push({ tokens: [token], text });
    out.push(piece?.text ?? '');
    tokens.push(...(piece?.tokens ?? []));
    if (stop !== undefined) return { out, tokens, stop };
  }
  const rest = filter.flush();
  return { out: [...out, rest?.text ?? ''], tokens: [...tokens, ...(rest?.tokens ?? [])], stop: undefined };
}

test('without stop strings everything passes at once', () => {
  expect(run([], ['a', 'b'])).toEqual({ out: ['a', 'b', ''], tokens: [0, 1], stop: undefined });
});

test('a stop string over several pieces ends the text before it and keeps every token', () => {
  expect(run(['END'], ['one', ' E', 'N', 'D more'])).toEqual({
    out: ['one', '', '', ' '],
    tokens: [0, 1, 2, 3],
    stop: 'END',
  });
});

test('a part of a stop string that goes on otherwise is let out, whole pieces at a time', () => {
  expect(run(['END'], ['x', 'E', 'N', 'x', 'y'])).toEqual({
    out: ['x', '', '', 'ENx', 'y', ''],
    tokens: [0, 1, 2, 3, 4],
    stop: undefined,
  });
});

test('a beginning inside the held text is found when an earlier one fails', () => {
  expect(run(['aab'], ['a', 'a', 'a', 'b']).stop).toBe('aab');
  expect(run(['aab'], ['a', 'a', 'a', 'b']).out.join('')).toBe('a');
});

test('of several stop strings the earliest wins, and of those at one place the shortest', () => {
  expect(run(['lo w', 'o'], ['hello world'])).toMatchObject({ out: ['hel'], stop: 'lo w' });
  expect(run(['lo w', 'lo'], ['hello world'])).toMatchObject({ out: ['hel'], stop: 'lo' });
});

test('the end lets out what was held back', () => {
  expect(run(['END'], ['the E'])).toEqual({ out: ['', 'the E'], tokens: [0], stop: undefined });
});
