import { describe, expect, test } from 'vitest';
import {
  billOf,
  changeOf,
  ended,
  extending,
  type Figures,
  type Lease,
  needOf,
  RETENTION_MS,
  releasing,
  remembered,
  reported,
  settling,
  type Unit,
} from './lease.ts';

const BEGUN: Figures = {
  ...{ state: 'held', isCounted: true, promptBound: 100, promptTokens: undefined },
  ...{ completionTokens: 0, coveredTokens: 50, maxCompletionTokens: 400 },
};
const HELD: Lease = { ...BEGUN, takenAtMs: 1_000, expiresAtMs: 61_000, endedAtMs: 0 };
const UNITS: readonly Unit[] = [
  ...(['requests', 'prompt_tokens', 'completion_tokens', 'tokens'] as const),
  ...(['concurrent_requests', 'concurrent_context_tokens'] as const),
];
const changes = (from: Figures | undefined, to: Figures) =>
  UNITS.map((unit) => {
    const { spent, held } = changeOf(unit, from, to);
    return [spent, held];
  });

describe('how limits change, by unit', () => {
  test('a lease that begins holds the bound of its prompt and what it covers', () => {
    expect(changes(undefined, BEGUN)).toEqual([
      [1, 0],
      [0, 100],
      [0, 50],
      [0, 150],
      [0, 1],
      [0, 500],
    ]);
    expect(UNITS.map((unit) => needOf(unit, BEGUN))).toEqual([1, 100, 50, 150, 1, 500]);
  });

  test('a report spends what was told and returns what the prompt was reserved too much', () => {
    const told = reported(BEGUN, 80, 20);
    expect(changes(BEGUN, told)).toEqual([
      [0, 0],
      [80, -100],
      [20, -20],
      [100, -120],
      [0, 0],
      [0, -20],
    ]);
    expect(changes(told, reported(told, 99, 5))).toEqual(UNITS.map(() => [0, 0]));
    // What left the engine without cover is spent all the same.
    expect(reported(told, undefined, 70)).toMatchObject({ completionTokens: 70, coveredTokens: 70, promptTokens: 80 });
  });

  test('a settlement spends exactly what was used and holds nothing', () => {
    const settled = ended(BEGUN, 'settled', { promptTokens: 90, completionTokens: 30 });
    expect(changes(BEGUN, settled)).toEqual([
      [0, 0],
      [90, -100],
      [30, -50],
      [120, -150],
      [0, -1],
      [0, -500],
    ]);
    const told = reported(BEGUN, 80, 20);
    expect(changes(told, ended(told, 'settled', { promptTokens: 80, completionTokens: 30 }))).toEqual([
      ...[
        [0, 0],
        [0, 0],
        [10, -30],
        [10, -30],
        [0, -1],
        [0, -480],
      ],
    ]);
  });

  test('one that expires spends no more than it told', () => {
    expect(changes(BEGUN, ended(BEGUN, 'expired'))).toEqual([
      [0, 0],
      [0, -100],
      [0, -50],
      [0, -150],
      [0, -1],
      [0, -500],
    ]);
  });
});

describe('how a lease ends', () => {
  const used = { promptTokens: 90, completionTokens: 30 };
  const as = (state: 'settled' | 'released' | 'expired'): Lease => ({ ...HELD, ...used, state, endedAtMs: 7_000 });

  test('Settle: once; again with the same figures as the first time; late after an expiry', () => {
    expect(settling(undefined, used)).toEqual({ kind: 'unknown' });
    expect(settling(HELD, used)).toEqual({ kind: 'end' });
    expect(settling(as('settled'), used)).toEqual({ kind: 'repeated', endedAtMs: 7_000 });
    expect(settling(as('settled'), { ...used, completionTokens: 31 })).toEqual({ kind: 'ended', state: 'settled' });
    expect(settling(as('released'), used)).toEqual({ kind: 'ended', state: 'released' });
    expect(settling(as('expired'), used)).toEqual({ kind: 'end' });
  });

  test('Release: once, and not after the expiry', () => {
    expect(releasing(undefined, 0)).toEqual({ kind: 'unknown' });
    expect(releasing(HELD, HELD.expiresAtMs - 1)).toEqual({ kind: 'end' });
    expect(releasing(HELD, HELD.expiresAtMs)).toEqual({ kind: 'ended', state: 'expired' });
    expect(releasing(as('released'), 99_000)).toEqual({ kind: 'repeated', endedAtMs: 7_000 });
    expect(releasing(as('settled'), 0)).toEqual({ kind: 'ended', state: 'settled' });
  });

  test('Extend: only while it is held, also past its expiry', () => {
    expect(extending(HELD)).toBeUndefined();
    expect(extending(undefined)).toEqual({ kind: 'unknown' });
    expect(extending(as('expired'))).toEqual({ kind: 'ended', state: 'expired' });
  });

  test('an ended one is remembered for a while, a held one for ever', () => {
    expect(remembered(as('settled'), 7_000 + RETENTION_MS - 1)).toBeDefined();
    expect(remembered(as('settled'), 7_000 + RETENTION_MS)).toBeUndefined();
    expect(remembered(HELD, 1e15)).toBe(HELD);
  });

  test('the bill of an expired lease and of its late settlement make one request and the exact tokens', () => {
    const told = reported(HELD, 90, 20);
    const expired = ended(told, 'expired');
    const bills = [billOf(told, expired), billOf(expired, ended(expired, 'settled', used))];
    expect(bills).toEqual([
      { requests: 1, promptTokens: 90, completionTokens: 20 },
      { requests: 0, promptTokens: 0, completionTokens: 10 },
    ]);
    expect(billOf(HELD, ended(HELD, 'expired'))).toEqual({ requests: 1, promptTokens: 0, completionTokens: 0 });
  });
});
