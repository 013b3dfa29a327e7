import { describe, expect, test } from 'vitest';
import { type Need, SimulatedDevices } from '../../../test/residency/simulated-devices.ts';
import { decideResidency, type ResidencyDecision, type ResidencyRules, type ResidentView } from './residency-policy.ts';

const NOW_MS = 100_000;
const RULES: ResidencyRules = { minStayMs: 10_000, turnMs: 5_000 };

/** A model: what it needs, where it is, and what differs from one that is absent and on demand. */
type Given = Need & {
  /** Devices. */
  readonly on?: readonly number[];
  /** What it holds of each of them. Default: what it needs. */
  readonly heldGib?: number;
} & Partial<ResidentView>;

const wanted = (gib: number, waitingSinceMs: number, rest: Partial<Given> = {}): Given => ({
  gib,
  waiting: 1,
  waitingSinceMs,
  ...rest,
});
const idle = (gib: number, idleSinceMs: number, rest: Partial<Given> = {}): Given => ({
  gib,
  on: [0],
  phase: 'ready',
  readyAtMs: 0,
  idleSinceMs,
  ...rest,
});
const busy = (gib: number, rest: Partial<Given> = {}): Given => idle(gib, 0, { running: 1, ...rest });
const asleep = (gib: number, rest: Partial<Given> = {}): Given => idle(gib, 99_000, { phase: 'asleep', ...rest });

interface Expected {
  readonly load?: readonly string[];
  /** By name. */
  readonly unload?: readonly string[];
  readonly closed?: readonly string[];
  readonly refused?: readonly string[];
  readonly againAtMs?: number;
}

function decide(
  sizesGib: readonly number[],
  models: Readonly<Record<string, Given>>,
  nowMs = NOW_MS,
  rules = RULES,
): ResidencyDecision {
  const devices = new SimulatedDevices(sizesGib, new Map(Object.entries(models)));
  for (const [name, { on = [], gib, heldGib = gib }] of Object.entries(models)) {
    if (on.length > 0) devices.hold(name, new Map(on.map((device) => [device, heldGib])));
  }
  const views = Object.entries(models).map(
    ([name, { on: _on, heldGib: _heldGib, ...given }]): ResidentView => ({
      name,
      onDemand: true,
      phase: 'absent',
      waiting: 0,
      running: 0,
      ...given,
    }),
  );
  return decideResidency(views, nowMs, rules, devices.fits);
}

/** The whole decision, with names alone. */
function told({ unload, ...rest }: ResidencyDecision): object {
  return { ...rest, unload: unload.map(({ name }) => name) };
}

type Row = readonly [what: string, sizesGib: readonly number[], models: Record<string, Given>, expected: Expected];

function rows(title: string, table: readonly Row[]): void {
  describe(title, () => {
    test.each(table)('%s', (_what, sizesGib, models, expected) => {
      const nothing = { load: [], unload: [], closed: [], refused: [], againAtMs: undefined };
      expect(told(decide(sizesGib, models))).toEqual({ ...nothing, ...expected });
    });
  });
}

rows('idle models', [
  ['go after their ttl', [10], { a: idle(6, 40_000, { ttlMs: 60_000 }) }, { unload: ['a'] }],
  ['not before', [10], { a: idle(6, 40_001, { ttlMs: 60_000 }) }, { againAtMs: 100_001 }],
  ['go also in their stay', [10], { a: idle(6, 99_999, { readyAtMs: 99_999, ttlMs: 0 }) }, { unload: ['a'] }],
  ['stay without a ttl', [10], { a: idle(6, 0) }, {}],
  ['stay when they are not on demand', [10], { a: idle(6, 0, { ttlMs: 1, onDemand: false }) }, {}],
  ['are not idle while they run something', [10], { a: busy(6, { ttlMs: 1 }) }, {}],
  ['nor when a request has just come', [10], { a: idle(6, 0, { ttlMs: 1, waiting: 1, waitingSinceMs: NOW_MS }) }, {}],
  ['sleep on', [10], { a: asleep(1, { ttlMs: 1 }) }, {}],
]);

rows('a model that is waited for', [
  ['is loaded where there is room', [10], { a: wanted(6, 0) }, { load: ['a'] }],
  ['is woken', [10], { a: asleep(6, { waiting: 1, waitingSinceMs: 0 }) }, { load: ['a'] }],
  ['is loaded also when it is not on demand', [10], { a: wanted(6, 0, { onDemand: false }) }, { load: ['a'] }],
  ['is not loaded twice', [10], { a: wanted(6, 0, { phase: 'loading', on: [0] }) }, {}],
  ['is not loaded while it is failed', [10], { a: wanted(6, 0, { phase: 'failed' }) }, {}],
  ['comes with others, the oldest first', [10], { a: wanted(4, 2), b: wanted(4, 1) }, { load: ['b', 'a'] }],
  ['comes before a younger one', [10], { a: wanted(6, 2), b: wanted(6, 1) }, { load: ['b'] }],
  [
    'waits for one that leaves, and nobody else must go',
    [10],
    { a: wanted(8, 0), b: idle(6, 0, { phase: 'leaving' }), c: idle(2, 0) },
    { load: [] },
  ],
  [
    'does not wait for one that leaves and still runs something, if another is idle',
    [10],
    { a: wanted(5, 0), b: busy(5, { phase: 'leaving' }), c: idle(5, 0) },
    { unload: ['c'] },
  ],
  [
    'waits for one that leaves and still runs something, if nothing else helps, and closes nothing',
    [10],
    { a: wanted(5, 0), b: busy(5, { phase: 'leaving' }), c: busy(5) },
    {},
  ],
  [
    'waits for one that goes for its ttl',
    [10],
    { a: wanted(6, 0), b: idle(6, 0, { ttlMs: 1 }), c: idle(4, 0) },
    { unload: ['b'] },
  ],
]);

rows('who makes room', [
  ['is idle', [10], { a: wanted(6, 99_999), b: idle(6, 0) }, { unload: ['b'] }],
  ['is used least recently', [10], { a: wanted(5, 99_999), b: idle(5, 2), c: idle(5, 1) }, { unload: ['c'] }],
  ['sleeps', [10], { a: wanted(2, 99_999), b: idle(7, 1), c: asleep(3) }, { unload: ['c'] }],
  [
    'is one big one instead of two small ones before it',
    [10],
    { a: wanted(7, 99_999), b: idle(2, 1), c: idle(1, 2), d: idle(7, 3) },
    { unload: ['d'] },
  ],
  [
    'spares, of those that were added in vain, the last used',
    [10],
    { a: wanted(7, 99_999), b: idle(3, 1), c: idle(3, 2), d: idle(4, 3) },
    { unload: ['b', 'd'] },
  ],
  [
    'is on its device',
    [10, 10],
    { a: wanted(9, 1, { only: [1] }), b: idle(9, 1), c: idle(9, 2, { on: [1] }) },
    { unload: ['c'] },
  ],
  [
    'are several where it needs several devices',
    [10, 10],
    { a: wanted(9, 1, { count: 2 }), b: idle(9, 1), c: idle(9, 2, { on: [1] }) },
    { unload: ['b', 'c'] },
  ],
  [
    'makes it for each that waits',
    [10, 10],
    { a: wanted(9, 1), b: wanted(9, 2), c: idle(9, 1), d: idle(9, 2, { on: [1] }) },
    { unload: ['c', 'd'] },
  ],
  [
    'has had its stay',
    [10],
    { a: wanted(6, 99_999), b: idle(6, 90_001, { readyAtMs: 90_001 }) },
    { againAtMs: 100_001 },
  ],
  ['has had it to the millisecond', [10], { a: wanted(6, 1), b: idle(6, 1, { readyAtMs: 90_000 }) }, { unload: ['b'] }],
  [
    'is not one with a request of its own, before the turn is over',
    [10],
    { a: wanted(6, 95_001), b: idle(6, 0, { waiting: 1, waitingSinceMs: 99_999 }) },
    { againAtMs: 100_001 },
  ],
  [
    'sleeps with requests of its own, and is older: it wakes first',
    [10],
    { a: wanted(9, 2), b: asleep(2, { waiting: 1, waitingSinceMs: 1 }) },
    { load: ['b'] },
  ],
  [
    'sleeps with requests of its own, and is younger: it loses the last that it holds',
    [10],
    { a: wanted(9, 99_000), b: asleep(2, { waiting: 1, waitingSinceMs: 99_500 }) },
    { unload: ['b'] },
  ],
  [
    'sleeps without requests of its own, if that will do',
    [13],
    { a: wanted(11, 99_000), b: asleep(2, { idleSinceMs: 1, waiting: 1, waitingSinceMs: 99_500 }), c: asleep(2) },
    { load: ['b'], unload: ['c'] },
  ],
]);

rows('a turn', [
  ['begins only after some time', [10], { a: wanted(6, 95_001), b: busy(6) }, { againAtMs: 100_001 }],
  ['closes what is busy', [10], { a: wanted(6, 95_000), b: busy(6) }, { closed: ['b'] }],
  ['does not begin in a stay', [10], { a: wanted(6, 0), b: busy(6, { readyAtMs: 95_000 }) }, { againAtMs: 105_000 }],
  [
    'takes the place of what has become idle, whatever waits for that',
    [10],
    { a: wanted(6, 95_000), b: idle(6, NOW_MS, { waiting: 3, waitingSinceMs: 95_001 }) },
    { unload: ['b'] },
  ],
  [
    'does not begin before those have been let in for whom the other was loaded',
    [10],
    { a: wanted(6, 0), b: idle(6, 80_000, { readyAtMs: 80_000, waiting: 3, waitingSinceMs: 1 }) },
    {},
  ],
  [
    'closes only what is needed',
    [10],
    { a: wanted(4, 0), b: busy(2), c: busy(3, { readyAtMs: 2 }), d: busy(5, { readyAtMs: 1 }) },
    { closed: ['d'] },
  ],
  [
    'closes the longest ready of those that would do, however long their streams',
    [10],
    { a: wanted(5, 0), b: busy(5, { readyAtMs: 2 }), c: busy(5, { readyAtMs: 1 }) },
    { closed: ['c'] },
  ],
  [
    'closes all that are needed at once, the idle too',
    [10, 10],
    { a: wanted(9, 0, { count: 2 }), b: busy(9), c: idle(9, 1, { on: [1] }) },
    { closed: ['c', 'b'] },
  ],
  [
    'closes none while one that is needed has not had its stay',
    [10, 10],
    { a: wanted(9, 0, { count: 2 }), b: busy(9), c: busy(9, { on: [1], readyAtMs: 99_000 }) },
    { againAtMs: 109_000 },
  ],
  [
    'closes none while one that is needed is loading',
    [10, 10],
    { a: wanted(9, 0, { count: 2 }), b: busy(9), c: { gib: 9, phase: 'loading', on: [1] } },
    {},
  ],
  ['waits for what is loading', [10], { a: wanted(6, 0), b: { gib: 6, phase: 'loading', on: [0] } }, {}],
  [
    'waits for what is failed and may hold memory',
    [10],
    { a: wanted(6, 0), b: { gib: 6, phase: 'failed', on: [0] } },
    {},
  ],
  [
    'is no reason to close what is not on demand',
    [10],
    { a: wanted(4, 0), b: busy(6), c: busy(4, { onDemand: false }) },
    { closed: ['b'] },
  ],
  [
    'is over when nobody waits any more',
    [10],
    { a: { gib: 6 }, b: busy(6, { waiting: 3, waitingSinceMs: 99_000 }) },
    {},
  ],
]);

rows('nobody who came later', [
  [
    'takes the room that is waited for',
    [10],
    { a: wanted(8, 99_000), b: busy(6), c: wanted(4, 99_001) },
    { againAtMs: 104_000 },
  ],
  [
    'is held up beside it',
    [10],
    { a: wanted(6, 99_000), b: busy(6), c: wanted(4, 99_001) },
    { load: ['c'], againAtMs: 104_000 },
  ],
  [
    'is held up on another device',
    [10, 10],
    { a: wanted(9, 99_000, { only: [0] }), b: busy(6), c: wanted(9, 99_001, { only: [1] }) },
    { load: ['c'], againAtMs: 104_000 },
  ],
  [
    'is held up there by two who cannot both be there',
    [10, 10],
    {
      a: wanted(9, 99_000, { only: [0] }),
      b: busy(6),
      c: wanted(9, 99_001, { only: [0] }),
      d: wanted(9, 99_002, { only: [1] }),
    },
    { load: ['d'], againAtMs: 104_000 },
  ],
  // With both gone and come in any order each has a place; but now the later one would get the first device.
  [
    'takes it because placement would put it there, though there is another place',
    [80, 80],
    { a: wanted(80, 99_000), b: busy(50), c: idle(50, 0, { on: [1], onDemand: false }), d: wanted(30, 99_001) },
    { againAtMs: 104_000 },
  ],
  [
    'wakes where it would have to make room again',
    [10, 10],
    {
      a: wanted(9, 99_000, { count: 2 }),
      b: busy(9),
      c: asleep(2, { on: [1], waiting: 1, waitingSinceMs: 99_500 }),
    },
    { againAtMs: 104_000 },
  ],
  [
    'makes anybody go in vain',
    [10],
    { a: wanted(10, 99_000), b: busy(5), c: idle(5, 0), d: wanted(5, 99_001) },
    { againAtMs: 104_000 },
  ],
]);

rows('refused is what would never fit', [
  ['on any device', [10], { a: wanted(11, 0), b: busy(6) }, { refused: ['a'] }],
  ['beside what stays', [10], { a: wanted(6, 0), b: idle(6, 0, { onDemand: false }) }, { refused: ['a'] }],
  [
    'where it sleeps',
    [10, 10],
    { a: asleep(6, { heldGib: 1, waiting: 1, waitingSinceMs: 0 }), b: idle(6, 0, { onDemand: false }) },
    { refused: ['a'] },
  ],
  [
    'and nobody waits behind it',
    [10],
    { a: wanted(11, 0), b: wanted(6, 1), c: idle(6, 0) },
    { refused: ['a'], unload: ['c'] },
  ],
  [
    'not what fits when a model unloaded by hand is gone',
    [10],
    { a: wanted(6, 0), b: busy(6, { phase: 'leaving', onDemand: false }) },
    {},
  ],
]);

test('whoever goes is told why', () => {
  const { unload } = decide([10], {
    a: wanted(6, 0),
    b: idle(6, 0),
    c: idle(4, 0, { ttlMs: 2_500 }),
  });
  expect(unload).toEqual([
    { name: 'c', why: 'idle for its ttl of 2.5 s', isExpired: true },
    { name: 'b', why: "makes room for 'a'", isExpired: false },
  ]);
});

test('the time of the next look is exact, on a clock with fractions too', () => {
  const models = {
    a: wanted(6, 95_000.1),
    b: busy(3, { readyAtMs: 91_000.7 }),
    c: idle(3, 99_999.3, { readyAtMs: 90_000.9, ttlMs: 1_500.6 }),
  };
  let nowMs = NOW_MS;
  const moments: number[] = [];
  for (;;) {
    const decision = decide([6], models, nowMs);
    const { againAtMs } = decision;
    if (againAtMs === undefined) break;
    expect(told(decide([6], models, againAtMs - 0.001))).toEqual(told(decision));
    expect(told({ ...decide([6], models, againAtMs), againAtMs })).not.toEqual(told(decision));
    nowMs = againAtMs;
    moments.push(againAtMs);
  }
  // Both stays are over; the other one is idle for its ttl. The turn alone, and one stay of two, change nothing.
  expect(moments).toEqual([91_000.7 + 10_000, 99_999.3 + 1_500.6]);
});
