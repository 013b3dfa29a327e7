import { expect, test, vi } from 'vitest';
import { Deadlines, exceededLimit } from './deadlines.ts';

const limits = { totalMs: 1000, firstTokenMs: 100, betweenTokensMs: 50 };
const generation = { startedAtMs: 0, timeoutMs: undefined, hasToken: true, isPaused: false };
const timed = { ...generation, progressed: false, expire: () => {}, stalled: () => {} };
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

test('one timer watches all, also those that come one after the other, and ends when nobody does', () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  try {
    const deadlines = new Deadlines(limits);
    for (let round = 0; round < 2; round += 1) {
      for (let i = 0; i < 3; i += 1) {
        const stalled = vi.fn<() => void>();
        const leave = deadlines.watch({ ...timed, stalled });
        expect(vi.getTimerCount()).toBe(1);
        leave();
        expect(stalled).not.toHaveBeenCalled();
      }
      const stalled = vi.fn<() => void>();
      const leave = deadlines.watch({ ...timed, startedAtMs: performance.now(), stalled });
      vi.advanceTimersByTime(250);
      expect(stalled).toHaveBeenCalled();
      leave();
      vi.advanceTimersByTime(250);
      expect(vi.getTimerCount()).toBe(0);
    }
  } finally {
    vi.useRealTimers();
  }
});
