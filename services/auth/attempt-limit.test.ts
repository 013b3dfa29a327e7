import { expect, test } from 'vitest';
import { createAttemptLimit } from './attempt-limit.ts';

test('a burst, then so many per minute, per key', () => {
  const limit = createAttemptLimit({ burst: 3, perMinute: 6 });
  let nowMs = 1_000_000;
  const attempt = (key: string) => {
    const allowed = limit.allows(key, nowMs);
    if (allowed) limit.take(key, nowMs);
    return allowed;
  };
  expect(Array.from({ length: 5 }, () => attempt('a'))).toEqual([true, true, true, false, false]);
  expect(attempt('b')).toBe(true);
  nowMs += 9_999;
  expect(attempt('a')).toBe(false);
  nowMs += 1;
  expect([attempt('a'), attempt('a')]).toEqual([true, false]);
  nowMs += 3_600_000;
  expect(Array.from({ length: 4 }, () => attempt('a'))).toEqual([true, true, true, false]);
  // Set back, e.g. by an operator: nobody gets more, and nobody waits for hours.
  nowMs -= 3_600_000;
  expect(attempt('a')).toBe(false);
  limit.giveBack('a', nowMs);
  expect(attempt('a')).toBe(true);
  nowMs += 10_000;
  expect(attempt('a')).toBe(true);
});

test('what is given back counts as never taken, and never makes more than the burst', () => {
  const limit = createAttemptLimit({ burst: 1, perMinute: 1 });
  limit.take('a', 0);
  expect(limit.allows('a', 0)).toBe(false);
  limit.giveBack('a', 0);
  limit.giveBack('a', 0);
  limit.take('a', 0);
  expect(limit.allows('a', 0)).toBe(false);
});

test('the memory is bounded: the key that was quiet for the longest is forgotten', () => {
  const limit = createAttemptLimit({ burst: 1, perMinute: 1, maxKeys: 2 });
  limit.take('a', 0);
  limit.take('b', 0);
  limit.take('a', 0);
  limit.take('c', 0);
  expect(['a', 'b', 'c'].map((key) => limit.allows(key, 0))).toEqual([false, true, false]);
});
