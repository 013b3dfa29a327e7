import { describe, expect, test } from 'vitest';
import type { Rule } from '../../services/quota/budget.ts';
import type { Unit } from '../../services/quota/lease.ts';
import { check } from './checker.ts';
import { history, request, START_MS, steps } from './history.fixture.ts';
import type { History, StoreStep } from './history.ts';

const minute = (maximum: number): Rule => ({ kind: 'window', maximum, stepMs: 1_000, steps: 60 });
const tokens = (maximum: number) => ['tokens', minute(maximum)] as const;
const settled = { state: 'settled', promptTokens: 8, completionTokens: 5 } as const;

const violations = (of: History): readonly string[] => check(of).violations;
/** The rules that a history breaks. */
const broken = (of: History): string[] => [...new Set(violations(of).map((text) => text.replace(/:.*/s, '')))];

test('a history in which all is well', () => {
  const all = [
    ...steps('a:1', tokens(30), {}, { at: 500, promptTokens: 8, completionTokens: 2 }, { at: 900, ...settled }),
    ...steps('b:1', tokens(30), { at: 60_901 }, { at: 60_950, state: 'released' }),
    ...steps('c:1', tokens(30), { at: 61_000 }, { at: 62_000, promptTokens: 8, completionTokens: 3 }),
    ...steps(
      'c:1',
      tokens(30),
      { at: 61_000 },
      { at: 67_000, promptTokens: 8, completionTokens: 3, state: 'expired' },
    ).slice(1),
  ];
  const requests = [
    request(),
    request({ requestId: 'b', outcome: 'refused', deliveredTokens: 0, madeTokens: 0 }),
    request({ requestId: 'c', outcome: 'broken', deliveredTokens: 4 }),
    request({ requestId: 'd', outcome: 'refused', deliveredTokens: 0, madeTokens: 0 }),
  ];
  const outages = [{ gateway: 0, kind: 'killed' as const, fromMs: START_MS + 62_500, toMs: START_MS + 64_000 }];
  const verdict = check(history(all, requests, { outages }));
  expect(verdict.violations).toEqual([]);
  expect(verdict).toMatchObject({ leases: { held: 0, settled: 1, released: 1, expired: 1 }, lateSettlements: 0 });
  expect(verdict.fullness).toEqual([{ counter: 'key:tokens/k', maximum: 30, most: 30 }]);
});

describe('over', () => {
  /** Requests that are settled at once, each at its time, of one token of a kind. */
  const spent = (unit: Unit, rule: Rule, ...at: number[]): string[] => {
    const all = at.flatMap((ms, i) => steps(`${i}:1`, [unit, rule], { at: ms }, { at: ms, ...settled }));
    return broken(
      history(
        all,
        at.map((_, i) => request({ requestId: String(i) })),
      ),
    );
  };

  test('what is held counts beside what was settled', () => {
    const first = steps('a:1', tokens(42), {}, { at: 1, ...settled });
    const second = (maximum: number) => steps('b:1', tokens(maximum), { at: 2 }, { at: 3, ...settled });
    const requests = [request(), request({ requestId: 'b' })];
    expect(violations(history([...first, ...second(42)], requests))).toEqual([
      'over: key:tokens/k: 13 settled + 30 held > 42 (b:1, 2026-01-31T23:58:00.002Z)',
    ]);
    expect(violations(history([...first, ...second(43)], requests))).toEqual([]);
  });

  test('a window is any stretch of its length', () => {
    expect(spent('requests', minute(2), 0, 59_000, 59_999)).toEqual(['over']);
    expect(spent('requests', minute(2), 0, 59_000, 60_000)).toEqual([]);
  });

  test('days and months are those of the calendar', () => {
    const calendar = (period: 'day' | 'month'): Rule => ({ kind: 'calendar', maximum: 1, period });
    expect(spent('requests', calendar('day'), 0, 119_999)).toEqual(['over']);
    expect(spent('requests', calendar('day'), 119_999, 120_000)).toEqual([]);
    expect(spent('requests', calendar('month'), 119_999, 120_000)).toEqual([]);
    expect(spent('requests', calendar('month'), 120_000, 120_000 + 27 * 86_400_000)).toEqual(['over']);
  });

  test('a bucket gives its burst and what was refilled, whatever was given back', () => {
    const bucket: Rule = { kind: 'bucket', burst: 2, refillPerMinute: 60 };
    expect(spent('requests', bucket, 0, 0, 999)).toEqual(['over']);
    expect(spent('requests', bucket, 0, 0, 1_000)).toEqual([]);
    const back = steps('0:1', ['requests', bucket], {}, { at: 1, state: 'released' });
    const rest = [1, 2].flatMap((id) => steps(`${id}:1`, ['requests', bucket], { at: 2 }, { at: 3, ...settled }));
    expect(violations(history([...back, ...rest], [request({ requestId: '1' }), request({ requestId: '2' })]))).toEqual(
      ['exact: 0 (undefined): nobody sent it'],
    );
  });

  test('what runs at once', () => {
    const both = (maximum: number) =>
      ['a', 'b'].flatMap((id, i) =>
        steps(`${id}:1`, ['concurrent_requests', { kind: 'concurrency', maximum }], { at: i }, { at: 2, ...settled }),
      );
    const requests = [request(), request({ requestId: 'b' })];
    expect(broken(history(both(1), requests))).toEqual(['over']);
    expect(broken(history(both(2), requests))).toEqual([]);
  });

  test('a late settlement counts as far as it fits, and that is told', () => {
    const late = steps('a:1', tokens(30), {}, { at: 6_000, state: 'expired' }, { at: 6_002, ...settled });
    const other = steps('b:1', tokens(30), { at: 6_001 }, { at: 6_003, ...settled });
    const outages = [{ gateway: 0, kind: 'stopped' as const, fromMs: START_MS, toMs: START_MS + 6_001 }];
    const verdict = check(history([...late, ...other], [request(), request({ requestId: 'b' })], { outages }));
    expect(verdict).toMatchObject({ violations: [], lateSettlements: 1, beyondLimits: 13 });
  });
});

test('drift: counters hold what their leases hold', () => {
  const all = steps('a:1', tokens(100), {}, { at: 1, ...settled });
  const written = (held: number): StoreStep[] =>
    all.map((step, i) => (i === 0 ? { ...step, heldByCounter: new Map([['key:tokens/k', held]]) } : step));
  expect(broken(history(written(30), [request()]))).toEqual([]);
  expect(violations(history(written(60), [request()]))[0]).toMatch('drift: key:tokens/k holds 60, its leases 30');
});

describe('life', () => {
  const life = (...changes: Parameters<typeof steps>[2][]): string | undefined => {
    const all = steps('a:1', tokens(1_000), ...changes);
    return violations(history(all, [request()]))
      .find((text) => text.startsWith('life'))
      ?.replace(/ \(.*/, '');
  };

  test.each([
    ['it is taken twice', [{}, { at: 1, taken: 1 }, settled]],
    ['it begins as settled', [settled]],
    ['it is settled after it was settled', [{}, settled, settled]],
    ['it is settled after it was released', [{}, { state: 'released' }, settled]],
    ['it is released after it was expired', [{}, { state: 'expired' }, { state: 'released' }]],
    ['9 completion tokens become 5', [{}, { completionTokens: 9 }, settled]],
    ['what is covered shrinks to 10', [{}, { coveredTokens: 10 }, settled]],
  ] as const)('%s', (problem, changes) => expect(life(...changes)).toBe(`life: ${problem}`));

  test('an expired lease may be settled late', () => {
    expect(life({}, { at: 1, state: 'expired' }, { at: 2, ...settled })).toBeUndefined();
  });
});

test('rest: what is still held when everything is over, by the store and by the leases', () => {
  const sound = steps('a:1', tokens(100), {}, { at: 1, ...settled });
  expect(broken(history(sound, [request()], { heldAtEnd: new Map([['x', 1]]) }))).toEqual(['rest']);
  expect(broken(history(sound, [request()], { leasesAtEnd: 1 }))).toEqual(['rest']);
  expect(violations(history(steps('a:1', tokens(100), {}), [request()]))).toContain(
    'rest: leases hold 30 of key:tokens/k',
  );
});

test('ledger: bills are what the leases come to', () => {
  const bill = { requests: 1, promptTokens: 8, completionTokens: 6 };
  expect(
    violations(history(steps('a:1', tokens(100), {}, settled), [request()], { bills: new Map([['k', bill]]) })),
  ).toEqual(['ledger: k is billed 1 requests, 8 + 6 tokens, its leases come to 1 requests, 8 + 5 tokens']);
});
