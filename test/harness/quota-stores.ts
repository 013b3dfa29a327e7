import { beforeEach } from 'vitest';
import type { Progress } from '../../services/quota/admission.ts';
import type { Rule } from '../../services/quota/budget.ts';
import type { Unit } from '../../services/quota/lease.ts';
import type { Counted, Demand, QuotaStore, Reservation, UsageEntry } from '../../services/quota/store/quota-store.ts';
import { createRedisQuotaStore } from '../../services/quota/store/redis-quota-store.ts';
import { createSqliteQuotaStore } from '../../services/quota/store/sqlite-quota-store.ts';
import type { Store } from '../../services/shared/store/store.ts';
import { describeStores, type TestStores } from './stores.ts';

/** An empty quota store with a clock that the test moves. */
export interface QuotaUnderTest {
  readonly stores: TestStores;
  /** The clock of the store, in milliseconds since the epoch. */
  nowMs: number;
  quota: QuotaStore;
  store: Store;
  /** The quota of another connection to the same state, or of this one as a process sees it that starts anew. */
  another(store?: Store, usageRetentionDays?: number): Promise<QuotaStore>;
  /** A reservation of one request, 10 prompt tokens and up to 20 completion tokens, all covered. */
  reservation(changes?: Partial<Reservation>): Reservation;
  /** What a call of the same size would ask for. */
  readonly demand: Demand;
  /** What is left of limits, then what is held of them. */
  room(limits: readonly Counted[]): Promise<{ remaining: number[]; held: number[] }>;
  /** The whole ledger as [engine, requests, prompt tokens, completion tokens] per row. */
  ledger(): Promise<[string, number, number, number][]>;
}

/** What a settlement says. */
export const used = (promptTokens: number, completionTokens: number, engine = 'e1') => ({
  promptTokens,
  completionTokens,
  engine,
});

/** A report. */
export const report = (completionTokens: number, wantedTokens = 0, promptTokens?: number): Progress => ({
  promptTokens,
  completionTokens,
  wantedTokens,
});

/** Limits named in order: a unit and a rule each. */
export const limitsOf = (...limits: readonly (readonly [Unit, Rule])[]): Counted[] =>
  limits.map(([unit, rule], i) => ({ counter: `${unit}:${i}/k`, unit, rule }));

/** At most so many in any minute. */
export const minute = (maximum: number): Rule => ({ kind: 'window', maximum, stepMs: 1_000, steps: 60 });
/** At most so many in any hour. */
export const hour = (maximum: number): Rule => ({ kind: 'window', maximum, stepMs: 60_000, steps: 60 });
/** At most so many per UTC day. */
export const day = (maximum: number): Rule => ({ kind: 'calendar', maximum, period: 'day' });
/** At most so many at once. */
export const atOnce = (maximum: number): Rule => ({ kind: 'concurrency', maximum });

/** Runs one suite on the quota stores of both drivers, each test with an empty one. */
export function describeQuotaStores(name: string, suite: (on: QuotaUnderTest) => void): void {
  describeStores(name, (stores) => {
    const on = quotaUnderTest(stores);
    beforeEach(async () => {
      // Redis drops keys by its own clock, so the tests' clock starts there.
      on.nowMs = Date.now();
      on.store = await stores.openEmpty();
      on.quota = await on.another(on.store);
    });
    suite(on);
  });
}

function quotaUnderTest(stores: TestStores): QuotaUnderTest {
  let ids = 0;
  const unset = undefined as unknown;
  const on: QuotaUnderTest = {
    ...{ stores, nowMs: 0, quota: unset as QuotaStore, store: unset as Store },
    demand: { isCounted: true, promptBound: 10, maxCompletionTokens: 20, coveredTokens: 20 },
    async another(store, usageRetentionDays) {
      const opened = store ?? (await stores.open());
      const clock = (): number => on.nowMs;
      return opened.kind === 'sqlite'
        ? createSqliteQuotaStore(opened, clock, usageRetentionDays)
        : createRedisQuotaStore(opened, clock, usageRetentionDays);
    },
    reservation(changes = {}) {
      ids += 1;
      const reservationId = changes.reservationId ?? `r${ids}`;
      return {
        ...{ reservationId, operationId: `${reservationId}:reserve`, model: 'chat', holdMs: 60_000, limitsVersion: 0 },
        holder: { keyId: 'k', userId: 'u', organizationId: 'acme' },
        ...{ limits: limitsOf(['requests', minute(3)]), ...on.demand, ...changes },
      };
    },
    async room(limits) {
      const nothing = { isCounted: false, promptBound: 0, maxCompletionTokens: 0, coveredTokens: 0 };
      const statuses = await on.quota.inspect(limits, nothing);
      return { remaining: statuses.map(({ remaining }) => remaining), held: statuses.map(({ held }) => held) };
    },
    async ledger() {
      const rows: UsageEntry[] = [];
      for await (const row of on.quota.usage(0, 100_000, undefined)) rows.push(row);
      return rows.map(({ engine, requests, promptTokens, completionTokens }) => [
        ...([engine, requests, promptTokens, completionTokens] as const),
      ]);
    },
  };
  return on;
}
