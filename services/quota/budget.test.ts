import { expect, test } from 'vitest';
import {
  type BucketRule,
  giveBack,
  type LimitState,
  type Rule,
  stateAt,
  statusOf,
  take,
  type WindowRule,
} from './budget.ts';

const START_MS = Date.parse('2026-11-21T12:00:00.250Z');
const MINUTE: WindowRule = { kind: 'window', maximum: 5, stepMs: 1_000 };
const BUCKET: BucketRule = { kind: 'bucket', refillPerMinute: 60, burst: 10 };

/** A limit in use. */
function counter(rule: Rule) {
  let kept: LimitState | undefined;
  return {
    status: (nowMs: number) => statusOf(rule, stateAt(rule, kept, nowMs), nowMs),
    take(nowMs: number): boolean {
      const state = stateAt(rule, kept, nowMs);
      if (statusOf(rule, state, nowMs).retryAfterMs > 0) return false;
      kept = take(state);
      return true;
    },
    giveBack(takenAtMs: number): void {
      if (kept) kept = giveBack(kept, rule.kind === 'window' ? rule.stepMs : 0, takenAtMs);
    },
  };
}

/** The same numbers on every run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

test('a window admits its maximum, then says when the next one is due', () => {
  const minute = counter(MINUTE);
  for (let left = 4; left >= 0; left -= 1) {
    expect(minute.take(START_MS)).toBe(true);
    expect(minute.status(START_MS).remaining).toBe(left);
  }
  expect(minute.take(START_MS)).toBe(false);
  const { retryAfterMs, resetAfterMs } = minute.status(START_MS);
  // At most one step later than 60 s.
  expect(retryAfterMs).toBe(60_750);
  expect(resetAfterMs).toBe(60_750);
  expect(minute.take(START_MS + retryAfterMs - 1)).toBe(false);
  expect(minute.take(START_MS + retryAfterMs)).toBe(true);
  expect(minute.status(START_MS + retryAfterMs).remaining).toBe(4);
});

test.each([
  ['minute', { kind: 'window', maximum: 30, stepMs: 1_000 }],
  ['hour', { kind: 'window', maximum: 300, stepMs: 60_000 }],
] as const)('no window of a %s ever holds more than the maximum, and none is much emptier', (_what, rule) => {
  const next = random(1);
  const limit = counter(rule);
  const lengthMs = 60 * rule.stepMs;
  const taken: number[] = [];
  for (let nowMs = START_MS; nowMs < START_MS + 10 * lengthMs; nowMs += Math.ceil((next() * rule.stepMs) / 8)) {
    if (limit.take(nowMs)) taken.push(nowMs);
  }
  // A window that holds too many holds them too when it begins with one of them.
  for (const [i, startMs] of taken.entries()) {
    const end = taken.findIndex((ms) => ms >= startMs + lengthMs);
    expect((end < 0 ? taken.length : end) - i).toBeLessThanOrEqual(rule.maximum);
  }
  // Nothing frees later than one step after it could: 61 steps admit the maximum.
  expect(taken.length).toBeGreaterThanOrEqual(Math.floor((10 * 60) / 61) * rule.maximum);
});

test('what is given back is free at once, however it has aged, and only while it counts', () => {
  const minute = counter(MINUTE);
  for (let i = 0; i < 5; i += 1) minute.take(START_MS + i * 2_000);
  const laterMs = START_MS + 30_000;
  expect(minute.status(laterMs).remaining).toBe(0);
  minute.giveBack(START_MS + 4_000);
  expect(minute.status(laterMs).remaining).toBe(1);
  minute.giveBack(START_MS + 4_000);
  minute.giveBack(START_MS - 100_000);
  minute.giveBack(START_MS + 100_000);
  expect(minute.status(laterMs).remaining).toBe(1);
});

test('a clock that goes back frees nothing and locks nobody out', () => {
  const minute = counter(MINUTE);
  const tomorrowMs = START_MS + 86_400_000;
  for (let i = 0; i < 5; i += 1) minute.take(tomorrowMs);
  expect(minute.take(START_MS)).toBe(false);
  const { retryAfterMs } = minute.status(START_MS);
  expect(retryAfterMs).toBeLessThanOrEqual(61_000);
  const bucket = counter(BUCKET);
  for (let i = 0; i < 10; i += 1) bucket.take(tomorrowMs);
  expect(bucket.take(START_MS)).toBe(false);
});

test('a bucket admits its burst and then its rate', () => {
  const bucket = counter(BUCKET);
  for (let i = 0; i < 10; i += 1) expect(bucket.take(START_MS)).toBe(true);
  expect(bucket.status(START_MS)).toEqual({ remaining: 0, resetAfterMs: 10_000, retryAfterMs: 1_000 });
  expect(bucket.take(START_MS + 999)).toBe(false);
  expect(bucket.take(START_MS + 1_000)).toBe(true);
  expect(bucket.take(START_MS + 1_001)).toBe(false);
  expect(bucket.status(START_MS + 3_600_000)).toEqual({ remaining: 10, resetAfterMs: 0, retryAfterMs: 0 });
});

test('a bucket never stands above its brim', () => {
  const bucket = counter(BUCKET);
  bucket.take(START_MS);
  bucket.giveBack(START_MS);
  bucket.giveBack(START_MS);
  expect(bucket.status(START_MS).remaining).toBe(10);
});

test('a maximum that was lowered holds for what was taken before', () => {
  const state = Array.from({ length: 5 }).reduce<LimitState>(
    (before) => take(before),
    stateAt(MINUTE, undefined, START_MS),
  );
  const lower: WindowRule = { ...MINUTE, maximum: 2 };
  expect(statusOf(lower, stateAt(lower, state, START_MS), START_MS)).toMatchObject({
    remaining: 0,
    retryAfterMs: 60_750,
  });
});
