import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { timeLimit } from './time-limit.ts';

const TIMERS = ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] as const;

beforeEach(() => void vi.useFakeTimers({ toFake: [...TIMERS] }));

afterEach(() => {
  vi.useRealTimers();
});

test.each([20, 999, 1_000, 2_000])(
  'a limit of %i ms strikes once, a long one a tenth of a second late at most',
  (limitMs) => {
    const onOver = vi.fn<() => void>();
    const inTime = timeLimit(limitMs, onOver);
    vi.advanceTimersByTime(limitMs - 1);
    expect(onOver).not.toHaveBeenCalled();
    vi.advanceTimersByTime(limitMs < 1_000 ? 1 : 101);
    expect(onOver).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(10 * limitMs);
    expect(onOver).toHaveBeenCalledTimes(1);
    inTime();
    vi.advanceTimersByTime(200);
  },
);

test.each([20, 2_000])('what is done in time is not struck (%i ms)', (limitMs) => {
  const onOver = vi.fn<() => void>();
  const inTime = timeLimit(limitMs, onOver);
  vi.advanceTimersByTime(limitMs - 1);
  inTime();
  vi.advanceTimersByTime(10_000);
  expect(onOver).not.toHaveBeenCalled();
});

test('long limits share a timer, which ends when there are none, and comes back', () => {
  for (let round = 0; round < 3; round += 1) {
    const over: number[] = [];
    const ends = [3_000, 1_000, 2_000].map((limitMs) => timeLimit(limitMs, () => over.push(limitMs)));
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(2_500);
    expect(over).toEqual([1_000, 2_000]);
    for (const inTime of ends) inTime();
    vi.advanceTimersByTime(200);
    expect(vi.getTimerCount()).toBe(0);
    expect(over).toEqual([1_000, 2_000]);
  }
});
