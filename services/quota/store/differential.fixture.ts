import type { Rule } from '../budget.ts';
import { RETENTION_MS, type Unit } from '../lease.ts';
import type { Counted, Demand, HeldLeases, QuotaStore, Reservation } from './quota-store.ts';

/** A number below another. */
export type Random = (below: number) => number;

/** The same numbers on every run. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return (below) => Math.floor(next() * below);
}

/** One operation and the moment at which it is made. */
export interface Operation {
  readonly nowMs: number;
  readonly text: string;
  readonly run: (on: QuotaStore) => Promise<unknown>;
}

/** Operations on limits and leases that no other sequence touches. */
export interface Sequence {
  readonly operations: readonly Operation[];
  /** Of the limits of subjects after it. */
  readonly version: number;
}

const SPENT_UNITS: readonly Unit[] = ['requests', 'requests', 'prompt_tokens', 'completion_tokens', 'tokens', 'tokens'];
const HELD_UNITS: readonly Unit[] = ['concurrent_requests', 'concurrent_context_tokens'];

const SHORT_STRIDES_MS = [0, 0, 0, 0, 1, 7, 19, 20, 21, 400, 999, 1_000, 1_001, -1, -20, -900];
const LONG_STRIDES_MS = [
  ...[0, 0, 1, 8_571, 30_000, 59_999, 60_000, 61_000, -1_500, -20_000, -45_000],
  ...[599_999, 600_000, 3_600_000, 3_660_000, 86_400_000, 31 * 86_400_000],
];

/** How far the clock goes back at most in all, in milliseconds: idle counters outlive their use by a minute. */
const MOST_BACK_MS = 59_000;

/** The operations that belong to a seed; `firstVersion` is that of the limits of subjects before it. */
export function sequenceFrom(seed: number, firstVersion: number): Sequence {
  const pick = randomFrom(seed);
  const one = <T>(from: readonly T[]): T => from[pick(from.length)] as T;
  const organizationId = `o${seed}`;
  const limits = Array.from({ length: pick(6) }, (_, i) => limitFrom(pick, `${seed}:${i}`));
  const leases = 1 + pick(9);
  const scale = one([1, 10, 10, 10, 1_000_000_000]);
  const operations: Operation[] = [];
  let [nowMs, latestMs] = [beginningFrom(pick), 0];
  const strides = one([SHORT_STRIDES_MS, SHORT_STRIDES_MS, LONG_STRIDES_MS, [...SHORT_STRIDES_MS, ...LONG_STRIDES_MS]]);
  /** When leases expire or are forgotten, if nothing happens to them. */
  const turns: number[] = [];
  let [version, subject] = [firstVersion, 'nothing'];

  const add = (text: string, run: Operation['run']): void => {
    operations.push({ nowMs, text, run });
  };
  const demand = (): Demand => {
    const maxCompletionTokens = pick(5) * scale + pick(7);
    const coveredTokens = pick(maxCompletionTokens + 1);
    return { isCounted: pick(9) > 0, promptBound: pick(3) * scale + pick(5), maxCompletionTokens, coveredTokens };
  };
  const inspect = (): void => {
    const asked = demand();
    add(`inspect ${JSON.stringify(asked)}`, (on) => on.inspect(limits, asked));
  };
  const reserve = (id: string): void => {
    const reservation: Reservation = {
      ...{ reservationId: id, operationId: pick(12) === 0 ? 'other' : 'reserve', model: one(['m', 'n/"ü']) },
      ...{ holder: { keyId: one(['k', 'l']), userId: 'u', organizationId }, ...demand() },
      limits: limits.filter(() => pick(4) > 0).map((limit) => (pick(15) === 0 ? otherMaximum(limit, pick) : limit)),
      limitsVersion: pick(20) === 0 ? version - 1 : version,
      holdMs: one([1, 1_000, 60_000, 60_000, 1 + pick(120_000)]),
    };
    turns.push(nowMs + reservation.holdMs);
    add(`reserve ${id} ${JSON.stringify(reservation)}`, (on) => on.reserve(reservation));
  };
  const extend = (id: string): void => {
    const progress = {
      promptTokens: pick(3) === 0 ? pick(3) * scale + pick(6) : undefined,
      completionTokens: pick(3) * scale + pick(6),
      wantedTokens: pick(6) * scale + pick(9),
    };
    const holdMs = 1 + pick(60_000);
    add(`extend ${id} ${JSON.stringify(progress)} ${holdMs}`, (on) => on.extend(id, progress, holdMs));
  };
  const settle = (id: string): void => {
    turns.push(nowMs + RETENTION_MS);
    const used = {
      promptTokens: pick(2) * scale + pick(2),
      completionTokens: pick(3) * scale,
      engine: one(['e', 'f']),
    };
    add(`settle ${id} ${JSON.stringify(used)}`, (on) => on.settle(id, used));
  };
  const setSubject = (): void => {
    const limits = one(['nothing', '[1]', '[2]']);
    if (limits !== subject) version += 1;
    subject = limits;
    const expected = version;
    add(`set subject ${limits}`, async (on) => {
      const got = await on.setSubjectLimits(`key/${seed}`, limits === 'nothing' ? undefined : limits);
      return { got, expected, kind: got === expected ? 'version' : 'wrong version' };
    });
    add('subjects', async (on) => {
      const { version: read, bySubject } = await on.subjectLimits();
      return [read, bySubject.get(`key/${seed}`) ?? 'nothing'];
    });
  };
  const act = (): void => {
    const id = `${seed}:r${pick(leases)}`;
    const kind = pick(17);
    if (kind < 6) reserve(id);
    else if (kind < 10) extend(id);
    else if (kind < 12) settle(id);
    else if (kind < 13) add(`release ${id}`, (on) => on.release(id));
    else if (kind < 14) inspect();
    else if (kind < 15) add('held leases', pagesOfHeld);
    else if (kind < 16) setSubject();
    else add('sweep', (on) => on.sweep());
  };

  for (let step = 8 + pick(30); step > 0; step -= 1) {
    const turn = pick(6) === 0 && turns.length > 0 ? one(turns) : 0;
    nowMs = turn > nowMs ? turn : Math.max(nowMs + one(strides), latestMs - MOST_BACK_MS);
    latestMs = Math.max(latestMs, nowMs);
    act();
  }
  // At the end every counter is looked at, with all that is held and without, as it frees.
  for (const strideMs of [0, 120_000]) {
    nowMs = latestMs + strideMs;
    inspect();
    add('sweep', (on) => on.sweep());
    inspect();
  }
  for (const strideMs of [13, 999, 61_000, 3_700_000, 86_400_000]) {
    nowMs += strideMs;
    inspect();
  }
  add('held leases', pagesOfHeld);
  const days = operations.map((operation) => Math.floor(operation.nowMs / 86_400_000));
  add('usage', (on) => usageOf(on, Math.min(...days), Math.max(...days), organizationId));
  return { operations, version };
}

/** All held leases, by pages of three. */
async function pagesOfHeld(on: QuotaStore): Promise<unknown[]> {
  const leases: unknown[] = [];
  for (let after: string | undefined; ; ) {
    const page: HeldLeases = await on.heldLeases(3, after);
    leases.push(page.leases.length, ...page.leases);
    after = page.next;
    if (after === undefined) return leases;
  }
}

async function usageOf(on: QuotaStore, first: number, last: number, organizationId: string): Promise<string[]> {
  const rows: string[] = [];
  for await (const { day, keyId, userId, organizationId: of, model, engine, ...figures } of on.usage(
    first,
    last,
    organizationId,
  )) {
    const { requests, promptTokens, completionTokens } = figures;
    rows.push(JSON.stringify([day, of, userId, keyId, model, engine, requests, promptTokens, completionTokens]));
  }
  return rows.sort();
}

/**
 * As after the configuration changed: leases that began before end by the rule that they began with. Not of a bucket: when it is
 * full, and so no longer kept, depends on its size.
 */
function otherMaximum({ counter, unit, rule }: Counted, pick: Random): Counted {
  const maximum = [0, 5, 30, 100][pick(4)] ?? 0;
  return { counter, unit, rule: rule.kind === 'bucket' ? rule : { ...rule, maximum } };
}

function limitFrom(pick: Random, counter: string): Counted {
  const one = <T>(from: readonly T[]): T => from[pick(from.length)] as T;
  const maximum = one([0, 1, 3, 8, 20, 60, 200, 4_000_000_000]);
  if (pick(5) === 0) return { counter, unit: one(HELD_UNITS), rule: { kind: 'concurrency', maximum } };
  const rules: readonly Rule[] = [
    { kind: 'window', maximum, stepMs: 20, steps: 50 },
    { kind: 'window', maximum, stepMs: 1_000, steps: 60 },
    { kind: 'window', maximum, stepMs: 60_000, steps: 60 },
    { kind: 'window', maximum, stepMs: 7, steps: 3 },
    { kind: 'calendar', maximum: maximum * one([1, 1_000]), period: 'day' },
    { kind: 'calendar', maximum: maximum * one([1, 1_000]), period: 'month' },
    { kind: 'bucket', refillPerMinute: one([1, 7, 60, 12_345, 1_000_000]), burst: maximum },
  ];
  return { counter, unit: one(SPENT_UNITS), rule: one(rules) };
}

/** Any moment of some years, often just before a month or a day ends. */
function beginningFrom(pick: Random): number {
  const [year, month] = [2023 + pick(80), pick(12)];
  switch (pick(4)) {
    case 0:
      return Date.UTC(year, month + 1) - 1 - pick(90_000);
    case 2:
      // The clock goes back over midnight soon.
      return Date.UTC(year, month + 1) + pick(1_000);
    case 1:
      return Date.UTC(year, month, 1 + pick(28)) - pick(90_000);
    default:
      return Date.UTC(year, month, 1 + pick(31), pick(24), pick(60), pick(60), pick(1_000));
  }
}
