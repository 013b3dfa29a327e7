import { setImmediate } from 'node:timers/promises';
import { createGroupCommit } from '../../shared/store/group-commit.ts';
import type { SqliteStore } from '../../shared/store/sqlite.ts';
import { migrateSqlite } from '../../shared/store/sqlite-migrations.ts';
import { outlook } from '../admission.ts';
import type { KeptLease } from './kept-lease.ts';
import { DEFAULT_USAGE_RETENTION_DAYS, type HeldLease, type QuotaStore, type UsageEntry } from './quota-store.ts';
import { dayOf, expire, extend, release, settle } from './sqlite-lease-operations.ts';
import { adoptCounters } from './sqlite-old-counters.ts';
import { demanded, reserve } from './sqlite-reserve.ts';
import { QUOTA_MIGRATIONS } from './sqlite-schema.ts';
import { createTables } from './sqlite-tables.ts';

/** Rows that one step of a sweep, or of reading the ledger, looks at: some milliseconds in which nothing else runs. */
const STEP_ROWS = 250;

/** Blocks of counters that a sweep looks at, each some 40: 2 ms. They are also dropped when they are moved. */
const COUNTER_BLOCKS = 50;

/** Blocks of ended leases that a sweep drops at most, each some 30. */
const LEASE_BLOCKS = 250;

/** Steps of one sweep, which bounds it. Leases end at most at STEP_ROWS × SWEEP_STEPS per sweep before they pile up. */
const SWEEP_STEPS = 80;

/**
 * Quota in the embedded store. `now` gives milliseconds since the epoch. The ledger is kept for `usageRetentionDays`.
 *
 * @throws ConfigError when the file was written by a newer version.
 */
export function createSqliteQuotaStore(
  store: SqliteStore,
  now: () => number,
  usageRetentionDays: number = DEFAULT_USAGE_RETENTION_DAYS,
): QuotaStore {
  migrateSqlite(store, 'quota', QUOTA_MIGRATIONS);
  adoptCounters(store);
  const tables = createTables(store, now);
  const { counters, leases, ledger, subjects } = tables;
  const inTransaction = createGroupCommit(store, tables.owner);
  /** For what reads the tables by SQL. */
  const inWrittenTransaction = <T>(operation: () => T): Promise<T> =>
    inTransaction(() => {
      tables.write();
      return operation();
    });

  /** Looks at leases that are over; returns how many there were. */
  function sweepStep(isFirst: boolean, spareMs: number): number {
    const nowMs = now();
    const due = leases.due(nowMs - spareMs, STEP_ROWS);
    for (const lease of due) {
      if (lease.state === 'held') expire(tables, lease, nowMs);
      else leases.drop(lease);
    }
    if (isFirst) {
      counters.dropIdle(COUNTER_BLOCKS, nowMs);
      leases.dropEnded(LEASE_BLOCKS, nowMs);
      ledger.dropBefore(dayOf(nowMs) - usageRetentionDays, STEP_ROWS);
    }
    tables.write();
    return due.length;
  }

  return {
    reserve: (reservation) => inTransaction(() => reserve(tables, reservation, now())),
    extend: (id, progress, holdMs) => inTransaction(() => extend(tables, id, progress, { nowMs: now(), holdMs })),
    settle: (id, used) => inTransaction(() => settle(tables, id, used, now())),
    release: (id) => inTransaction(() => release(tables, id, now())),
    inspect: (limits, demand) =>
      inTransaction(() => {
        const nowMs = now();
        return outlook(counters.standings(limits, nowMs), demanded(demand), nowMs);
      }),
    async sweep(spareMs = 0) {
      for (let step = 0; step < SWEEP_STEPS; step += 1) {
        const looked = await inWrittenTransaction(() => sweepStep(step === 0, spareMs));
        if (looked < STEP_ROWS) return;
        await setImmediate();
      }
    },
    async heldLeases(limit, after) {
      const found = await inWrittenTransaction(() => leases.held(parsePosition(after), limit + 1));
      const page = found.slice(0, limit).map(heldLease);
      return { leases: page, next: found.length > limit ? positionOf(page.at(-1)) : undefined };
    },
    async *usage(firstDay, lastDay, organizationId) {
      // The first time it may be the end of what was begun before.
      for (let times = 0; times < 2; times += 1) {
        while (!(await inWrittenTransaction(() => ledger.settle(STEP_ROWS)))) await setImmediate();
      }
      for (let from = firstDay; ; from += 1) {
        const day = await inWrittenTransaction(() => ledger.nextDay(from, lastDay));
        if (day === undefined) return;
        let last: UsageEntry | undefined;
        do {
          const after = last;
          const page = await inWrittenTransaction(() => ledger.page(day, organizationId, after, STEP_ROWS));
          yield* page;
          last = page.length < STEP_ROWS ? undefined : page.at(-1);
        } while (last);
        from = day;
      }
    },
    subjectLimits: () => inTransaction(subjects.read),
    setSubjectLimits: (subject, limits) => inTransaction(() => subjects.replace(subject, limits)),
  };
}

function heldLease(lease: KeptLease): HeldLease {
  const { reservationId, holder, model, completionTokens, takenAtMs, expiresAtMs } = lease;
  const prompt = lease.promptTokens === undefined ? lease.promptBound : 0;
  const heldTokens = prompt + lease.coveredTokens - completionTokens;
  return { reservationId, holder, model, heldTokens, completionTokens, takenAtMs, expiresAtMs };
}

function positionOf(lease: HeldLease | undefined): string | undefined {
  return lease && `${lease.takenAtMs}:${lease.reservationId}`;
}

function parsePosition(position = '0:'): Pick<HeldLease, 'takenAtMs' | 'reservationId'> {
  const colon = position.indexOf(':');
  return { takenAtMs: Number(position.slice(0, colon)), reservationId: position.slice(colon + 1) };
}
