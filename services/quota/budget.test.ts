import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  changed,
  givenBack,
  HELD_RETRY_MS,
  type LimitState,
  type LimitStatus,
  maximumOf,
  NEVER_MS,
  type Rule,
  roomIn,
  spentOf,
  stateAt,
  statusOf,
} from './budget.ts';

const START_MS = Date.parse('2026-11-21T12:00:00.250Z');
const DAY_MS = 86_400_000;
const MINUTE: Rule = { kind: 'window', maximum: 5, stepMs: 1_000, steps: 60 };
const BUCKET: Rule = { kind: 'bucket', refillPerMinute: 60, burst: 10 };
const DAY: Rule = { kind: 'calendar', maximum: 5, period: 'day' };
const MONTH: Rule = { kind: 'calendar', maximum: 5, period: 'month' };

/** A limit in use. */
class InUse {
  #kept: LimitState | undefined;
  readonly rule: Rule;
  constructor(rule: Rule) {
    this.rule = rule;
  }
  at(nowMs: number): LimitState {
    return stateAt(this.rule, this.#kept, nowMs);
  }
  status(nowMs: number, need = 1): LimitStatus {
    return statusOf(this.rule, this.at(nowMs), need, nowMs);
  }
  /** Spends what there is room for and nothing otherwise; returns whether. */
  take(nowMs: number, amount = 1): boolean {
    if (roomIn(this.rule, this.at(nowMs)) < amount) return false;
    this.change(nowMs, { spent: amount, held: 0 });
    return true;
  }
  change(nowMs: number, change: { spent: number; held: number }): void {
    this.#kept = changed(this.rule, this.at(nowMs), change);
  }
  giveBack(nowMs: number, takenAtMs: number, amount = 1): void {
    this.#kept = givenBack(this.rule, this.at(nowMs), amount, takenAtMs);
  }
}

describe('a window', () => {
  test('admits its maximum, then says when the next one is due', () => {
    const minute = new InUse(MINUTE);
    for (let left = 4; left >= 0; left -= 1) {
      expect(minute.take(START_MS)).toBe(true);
      expect(minute.status(START_MS).remaining).toBe(left);
    }
    // 60 s and at most one step: the step in which they were taken must have left the window whole.
    expect(minute.status(START_MS)).toMatchObject({ remaining: 0, retryAfterMs: 60_750, resetAfterMs: 60_750 });
    expect(minute.take(START_MS + 60_749)).toBe(false);
    expect(minute.take(START_MS + 60_750)).toBe(true);
  });

  test('tells the wait for as much as is asked for, the oldest being free first', () => {
    const minute = new InUse(MINUTE);
    for (let i = 0; i < 5; i += 1) minute.take(START_MS + i * 10_000);
    const nowMs = START_MS + 40_000;
    expect(minute.status(nowMs, 1).retryAfterMs).toBe(20_750);
    expect(minute.status(nowMs, 3).retryAfterMs).toBe(40_750);
    expect(minute.status(nowMs, 6).retryAfterMs).toBe(NEVER_MS);
  });

  test('gives back what still counts, at once, however it has aged, and nothing twice', () => {
    const minute = new InUse(MINUTE);
    for (let i = 0; i < 5; i += 1) minute.take(START_MS + i * 2_000);
    const laterMs = START_MS + 30_000;
    minute.giveBack(laterMs, START_MS + 4_000);
    expect(minute.status(laterMs).remaining).toBe(1);
    for (const takenAtMs of [START_MS + 4_000, START_MS - 100_000, START_MS + 100_000]) {
      minute.giveBack(laterMs, takenAtMs);
    }
    expect(minute.status(laterMs).remaining).toBe(1);
  });
});

describe('a bucket', () => {
  test('admits its burst and then its rate', () => {
    const bucket = new InUse(BUCKET);
    for (let i = 0; i < 10; i += 1) expect(bucket.take(START_MS)).toBe(true);
    expect(bucket.status(START_MS)).toEqual({ remaining: 0, held: 0, resetAfterMs: 10_000, retryAfterMs: 1_000 });
    expect(bucket.take(START_MS + 999)).toBe(false);
    expect(bucket.take(START_MS + 1_000)).toBe(true);
    expect(bucket.take(START_MS + 1_001)).toBe(false);
    expect(bucket.status(START_MS + 3_600_000)).toMatchObject({ remaining: 10, resetAfterMs: 0, retryAfterMs: 0 });
  });

  test('never stands above its brim', () => {
    const bucket = new InUse(BUCKET);
    bucket.take(START_MS);
    for (let i = 0; i < 3; i += 1) bucket.giveBack(START_MS, START_MS);
    expect(bucket.status(START_MS).remaining).toBe(10);
  });
});

describe('a day and a month', () => {
  test.each([
    [DAY, '2026-11-21T23:59:59.999Z', '2026-11-22T00:00:00.000Z'],
    [MONTH, '2026-12-31T23:59:59.999Z', '2027-01-01T00:00:00.000Z'],
    [MONTH, '2028-02-29T23:59:59.999Z', '2028-03-01T00:00:00.000Z'],
  ])('%o begins anew at midnight UTC, and says so', (rule, last, first) => {
    const limit = new InUse(rule);
    const [lastMs, firstMs] = [Date.parse(last), Date.parse(first)];
    expect(limit.take(lastMs, 5)).toBe(true);
    expect(limit.status(lastMs)).toMatchObject({ remaining: 0, retryAfterMs: 1, resetAfterMs: 1 });
    expect(limit.status(firstMs)).toMatchObject({ remaining: 5, retryAfterMs: 0 });
    // What is told after midnight counts for the new day; what was given back of the old one for none.
    limit.change(firstMs, { spent: 2, held: 0 });
    limit.giveBack(firstMs, lastMs);
    expect(limit.status(firstMs).remaining).toBe(3);
  });

  test('on which nothing was spent has not begun when the clock goes back before it', () => {
    const limit = new InUse(DAY);
    const midnightMs = Date.parse('2026-11-22T00:00:00Z');
    for (const held of [2, -2]) limit.change(midnightMs, { spent: 0, held });
    limit.change(midnightMs - 1, { spent: 2, held: 0 });
    expect(limit.status(midnightMs).remaining).toBe(maximumOf(DAY));
    limit.change(midnightMs, { spent: 1, held: 0 });
    limit.change(midnightMs - 1, { spent: 2, held: 0 });
    expect(limit.status(midnightMs).remaining).toBe(maximumOf(DAY) - 3);
  });
});

describe('what is held', () => {
  test.each([MINUTE, BUCKET, DAY, MONTH])(
    'counts for ever, whatever the clock says, until it is returned: %o',
    (rule) => {
      const limit = new InUse(rule);
      limit.change(START_MS, { spent: 0, held: 4 });
      for (const nowMs of [START_MS, START_MS + 400 * DAY_MS, START_MS - DAY_MS]) {
        expect(limit.status(nowMs, 0)).toMatchObject({ remaining: maximumOf(rule) - 4, held: 4 });
        expect(limit.status(nowMs, 0).resetAfterMs).toBe(HELD_RETRY_MS);
      }
      expect(limit.status(START_MS, maximumOf(rule)).retryAfterMs).toBe(HELD_RETRY_MS);
      limit.change(START_MS, { spent: 3, held: -4 });
      expect(limit.status(START_MS)).toMatchObject({ remaining: maximumOf(rule) - 3, held: 0 });
    },
  );

  test('is all that a limit on what runs at once knows', () => {
    const limit = new InUse({ kind: 'concurrency', maximum: 2 });
    limit.change(START_MS, { spent: 7, held: 2 });
    expect(limit.status(START_MS)).toEqual({ remaining: 0, held: 2, resetAfterMs: 1_000, retryAfterMs: 1_000 });
    limit.change(START_MS, { spent: 0, held: -1 });
    expect(limit.status(START_MS)).toMatchObject({ remaining: 1, retryAfterMs: 0 });
  });
});

describe('a clock that goes back', () => {
  test.each([MINUTE, BUCKET, DAY, MONTH])('frees nothing and locks nobody out: %o', (rule) => {
    const limit = new InUse(rule);
    const laterMs = START_MS + 70 * DAY_MS;
    expect(limit.take(laterMs, maximumOf(rule))).toBe(true);
    limit.change(START_MS, { spent: 0, held: 0 });
    expect(limit.take(START_MS)).toBe(false);
    expect(limit.status(START_MS).retryAfterMs).toBeLessThanOrEqual(31 * DAY_MS);
    expect(limit.take(START_MS + limit.status(START_MS).retryAfterMs)).toBe(true);
  });

  test.each([
    [DAY, '2026-11-22T00:00:00.000Z'],
    [MONTH, '2027-01-01T00:00:00.000Z'],
  ])('over midnight does not begin it twice: %o', (rule, midnight) => {
    const limit = new InUse(rule);
    const midnightMs = Date.parse(midnight);
    expect(limit.take(midnightMs + 500, 3)).toBe(true);
    expect(limit.take(midnightMs - 500, 1)).toBe(true);
    expect(limit.status(midnightMs + 600)).toMatchObject({ remaining: 1 });
  });
});

test('a maximum that was lowered holds for what was taken before', () => {
  const before = changed(MINUTE, stateAt(MINUTE, undefined, START_MS), { spent: 5, held: 0 });
  const lower: Rule = { ...MINUTE, maximum: 2 };
  const state = stateAt(lower, before, START_MS);
  expect(statusOf(lower, state, 1, START_MS)).toMatchObject({ remaining: 0, retryAfterMs: 60_750 });
  // And no correction adds to it.
  expect(spentOf(lower, changed(lower, state, { spent: 3, held: 0 }))).toBe(5);
});

/** Amounts and the time that passes before each. */
const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 45_000 }), fc.integer({ min: 1, max: 4 })), {
  maxLength: 200,
});

/** Plays the steps and returns every single unit that was spent with its time. */
function played(rule: Rule, sequence: readonly (readonly [number, number])[]): number[] {
  const limit = new InUse(rule);
  const spentAtMs: number[] = [];
  let nowMs = START_MS;
  for (const [passedMs, amount] of sequence) {
    nowMs += passedMs;
    if (limit.take(nowMs, amount)) spentAtMs.push(...Array<number>(amount).fill(nowMs));
    else {
      // Exactly when it says and not before: a refusal that is waited for is admitted.
      const { retryAfterMs } = limit.status(nowMs, amount);
      expect(roomIn(rule, limit.at(nowMs + retryAfterMs - 1))).toBeLessThan(amount);
      expect(roomIn(rule, limit.at(nowMs + retryAfterMs))).toBeGreaterThanOrEqual(amount);
    }
  }
  return spentAtMs;
}

describe('random sequences, counted one by one', () => {
  test.each([
    [{ ...MINUTE, maximum: 9 }, 60_000],
    [{ kind: 'window', maximum: 6, stepMs: 20, steps: 50 }, 1_000],
    [{ kind: 'window', maximum: 30, stepMs: 60_000, steps: 60 }, 3_600_000],
  ] as const)('no window of its length ever has more than the maximum: %o', (rule, lengthMs) => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 60 }), (sequence, slower) => {
        const scaled = sequence.map(
          ([ms, amount]) => [Math.floor((ms * rule.stepMs) / (1_000 * slower)), amount] as const,
        );
        const spentAtMs = played(rule, scaled);
        // A window that has too many has them too when it begins with one of them.
        for (const [i, startMs] of spentAtMs.entries()) {
          const after = spentAtMs[i + rule.maximum];
          if (after !== undefined) expect(after).toBeGreaterThanOrEqual(startMs + lengthMs);
        }
      }),
    );
  });

  test('no stretch of time ever has more from a bucket than its burst and what flowed in meanwhile', () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const rule = { kind: 'bucket', refillPerMinute: 7, burst: 5 } as const;
        const spentAtMs = played(rule, sequence);
        for (const [i, startMs] of spentAtMs.entries()) {
          for (const [count, endMs] of spentAtMs.slice(i).entries()) {
            expect(count + 1).toBeLessThanOrEqual(rule.burst + ((endMs - startMs) * rule.refillPerMinute) / 60_000);
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  test.each([DAY, MONTH])('no day and no month ever has more than the maximum: %o', (rule) => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const perPeriod = new Map<string, number>();
        for (const ms of played(
          rule,
          sequence.map(([passedMs, amount]) => [passedMs * 3_000, amount]),
        )) {
          const period = new Date(ms).toISOString().slice(0, rule === DAY ? 10 : 7);
          perPeriod.set(period, (perPeriod.get(period) ?? 0) + 1);
        }
        for (const count of perPeriod.values()) expect(count).toBeLessThanOrEqual(5);
      }),
    );
  });
});
