import { expect, test } from 'vitest';
import { check } from './checker.ts';
import { history, request, START_MS, steps } from './history.fixture.ts';
import type { LeaseFigures, Outage } from './history.ts';

type Known = Parameters<typeof request>[0];

/** What is wrong with a request whose lease was reported at 3 tokens and ended like this; undefined: nothing. */
function problem(end: Partial<LeaseFigures>, known: Known, outage?: Outage['kind']): string | undefined {
  const limit = ['tokens', { kind: 'concurrency', maximum: 1_000 }] as const;
  const all = steps('a:1', limit, {}, { at: 5, promptTokens: 8, completionTokens: 3 }, { at: 9, ...end });
  const outages = outage ? [{ gateway: 0, kind: outage, fromMs: START_MS + 6, toMs: START_MS + 7 }] : [];
  const [first, ...more] = check(history(all, [request(known)], { outages })).violations;
  expect(more).toEqual([]);
  return first?.replace(/^exact: a \(\w+\): /, '');
}

const settled = (completionTokens: number, promptTokens = 8) =>
  ({ state: 'settled', promptTokens, completionTokens }) as const;
const expired = { state: 'expired' } as const;

test.each<[string, Partial<LeaseFigures>, Known, Outage['kind']?]>([
  ['a whole stream', settled(5), {}],
  ['one that was exhausted', settled(20), { outcome: 'exhausted', deliveredTokens: 20, madeTokens: 31 }],
  [
    'one that was exhausted within a group that nobody could part',
    settled(17),
    { outcome: 'exhausted', deliveredTokens: 17, madeTokens: 31, tellsTokens: false },
  ],
  ['a client that left where the engine waited', settled(5), { outcome: 'left', deliveredTokens: 5 }],
  ['a client that fled', settled(6), { outcome: 'fled', deliveredTokens: 5, madeTokens: 9 }],
  ['a stream that broke', settled(5), { outcome: 'broken', deliveredTokens: 4, madeTokens: 9 }],
  ['a killed owner: the last report', expired, { outcome: 'broken', deliveredTokens: 4, madeTokens: 9 }, 'killed'],
  ['a killed owner that had settled', settled(5), {}, 'killed'],
])('well: %s', (_, end, known, outage) => expect(problem(end, known, outage)).toBeUndefined());

test.each<[string, Partial<LeaseFigures>, Known, Outage['kind']?]>([
  ['4 tokens are charged, 5 arrived', settled(4), {}],
  ['5 tokens are charged, 5 arrived, the engine made 6', settled(5), { madeTokens: 6 }],
  ['5 tokens are charged, 5 arrived, the engine made 5', settled(5), { isComplete: false }],
  ['6 tokens are charged, the engine made 5', settled(6), { outcome: 'fled' }],
  ['20 tokens are charged, 19 arrived', settled(20), { outcome: 'exhausted', deliveredTokens: 19, madeTokens: 31 }],
  ['19 tokens are charged, 19 arrived', settled(19), { outcome: 'exhausted', deliveredTokens: 19, madeTokens: 31 }],
  ['4 tokens are charged, 5 arrived', settled(4), { outcome: 'left', deliveredTokens: 5 }],
  ['4 tokens are charged, 5 arrived', settled(4), { outcome: 'fled', madeTokens: 9 }],
  ['3 tokens are charged, 4 arrived', settled(3), { outcome: 'broken', deliveredTokens: 4, madeTokens: 9 }],
  ['5 tokens are charged, 0 arrived', settled(5), { outcome: 'refused', deliveredTokens: 0 }],
  ['a prompt of 10 is charged, the engine counted 8', settled(5, 10), {}],
  ['21 tokens were delivered, 20 covered', settled(20), { deliveredTokens: 21, madeTokens: 21 }],
  ['its owner lived, and it was never settled', expired, {}],
  ['its owner lived, and it was never settled', expired, {}, 'stopped'],
  [
    '3 tokens are charged, the engine made 2',
    expired,
    { outcome: 'broken', deliveredTokens: 0, madeTokens: 2 },
    'killed',
  ],
  ['5 tokens were made and 5 delivered without a lease', { state: 'released' }, {}],
])('wrong: %s', (text, end, known, outage) => expect(problem(end, known, outage)).toMatch(text));

test('a lease that nobody heard of expires with nothing but its request, and is told', () => {
  const limit = ['requests', { kind: 'concurrency', maximum: 1 }] as const;
  const all = steps('a:1', limit, {}, { at: 9, state: 'expired' });
  const known = (madeTokens: number) => request({ outcome: 'refused', deliveredTokens: 0, madeTokens });
  expect(check(history(all, [known(0)]))).toMatchObject({ violations: [], undoneTooLate: 1 });
  expect(check(history(all, [known(1)])).violations).toHaveLength(1);
});

test('the owner of a lease is whoever lived when its request was sent', () => {
  const all = steps(
    'a:1',
    ['tokens', { kind: 'concurrency', maximum: 30 }],
    { at: 900 },
    { at: 999, state: 'expired' },
  );
  const outages = [{ gateway: 0, kind: 'killed' as const, fromMs: START_MS + 100, toMs: START_MS + 200 }];
  const problems = (sentMs: number): number => {
    const known = request({ outcome: 'broken', sentAtMs: START_MS + sentMs });
    return check(history(all, [known], { outages })).violations.length;
  };
  expect(problems(50)).toBe(0);
  expect(problems(201)).toBe(1);
});

test('an owner that went on after its leases expired, and was killed before it settled them', () => {
  const limit = ['requests', { kind: 'concurrency', maximum: 1 }] as const;
  const all = steps('a:1', limit, {}, { at: 9, state: 'expired' });
  const problems = (killedMs: number): number => {
    const outages = [
      { gateway: 0, kind: 'stopped' as const, fromMs: START_MS + 5, toMs: START_MS + 20 },
      { gateway: 0, kind: 'killed' as const, fromMs: START_MS + killedMs, toMs: START_MS + 90_000 },
    ];
    return check(history(all, [request({ outcome: 'broken' })], { outages })).violations.length;
  };
  expect(problems(1_000)).toBe(0);
  expect(problems(20_000)).toBe(1);
});

test('what was made for nobody, or paid by two leases', () => {
  const limit = ['tokens', { kind: 'concurrency', maximum: 1_000 }] as const;
  const twice = ['a:1', 'a:2'].flatMap((id) => steps(id, limit, {}, { at: 1, ...settled(5) }));
  expect(check(history(twice, [request()])).violations).toEqual(['exact: a: paid twice']);
  expect(check(history([], [request()])).violations).toEqual([
    'exact: a (whole): 5 tokens were made and 5 delivered without a lease',
  ]);
  expect(check(history([], [], { engines: [request()[1]] })).violations).toEqual([
    'exact: a (undefined): nobody sent it',
  ]);
});
