import { expect, test } from 'vitest';
import { exceededLimit } from './deadlines.ts';

const limits = { totalMs: 1000, firstTokenMs: 100, betweenTokensMs: 50 };
const generation = { startedAtMs: 0, timeoutMs: undefined, hasToken: true, isPaused: false };
const limitOf = (
  changes: Partial<Omit<typeof generation, 'timeoutMs'>> & { timeoutMs?: number },
  lastMs: number,
  nowMs: number,
) => exceededLimit({ ...generation, ...changes }, limits, lastMs, nowMs)?.metadata.limit;

test.each([
  ['within all limits', {}, 980, 999, undefined],
  ['total', {}, 990, 1000, 'total'],
  ['the caller asked for less', { timeoutMs: 10 }, 0, 10, 'total'],
  ['no first token', { hasToken: false }, 0, 100, 'first_token'],
  ['first token still has time', { hasToken: false }, 0, 99, undefined],
  ['each engine has its own time for it', { hasToken: false }, 150, 249, undefined],
  ['and no more', { hasToken: false }, 150, 250, 'first_token'],
  ['a generation that waits for its reader or for quota', { hasToken: false, isPaused: true }, 0, 200, undefined],
  ['silence between tokens', {}, 100, 150, 'between_tokens'],
  ["a reader that does not read is not the engine's silence", { isPaused: true }, 100, 150, undefined],
])('%s', (_name, changes, lastMs, nowMs, expected) => {
  expect(limitOf(changes, lastMs, nowMs)).toBe(expected);
});
