import type { SqliteStore } from '../../shared/store/sqlite.ts';
import { giveBack, type LimitState, type LimitStatus, stateAt, statusOf, take } from '../budget.ts';
import { decodeState, encodeState } from './limit-state-codec.ts';
import type { Counted } from './quota-store.ts';

/** What was taken from one counter, for giving it back: its name and the length of its step, 0 for a bucket. */
export type Charge = readonly [counter: string, stepMs: number];

/** The counters in SQLite. Every method is part of the caller's transaction. */
export interface SqliteCounters {
  /** How full each limit is. */
  inspect(limits: readonly Counted[], nowMs: number): LimitStatus[];
  /** Takes one request from every limit, or from none when one of them refuses. */
  take(limits: readonly Counted[], nowMs: number): { isAdmitted: boolean; statuses: LimitStatus[] };
  /** Gives back what was taken at `takenAtMs`. */
  giveBack(charges: readonly Charge[], takenAtMs: number): void;
  /** Drops counters that say nothing any more among the next `limit` of all, and goes on from there the next time. */
  dropIdle(limit: number, nowMs: number): void;
}

/** Prepares the statements. */
export function createSqliteCounters({ database }: SqliteStore): SqliteCounters {
  const select = database.prepare('SELECT state FROM quota_counters WHERE counter = ?');
  const upsert = database.prepare(
    `INSERT INTO quota_counters VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET state = excluded.state, idle_at_ms = excluded.idle_at_ms`,
  );
  const update = database.prepare('UPDATE quota_counters SET state = ? WHERE counter = ?');
  const lastOfNext = database.prepare(
    'SELECT counter FROM quota_counters WHERE counter > ? ORDER BY counter LIMIT 1 OFFSET ?',
  );
  const dropBetween = database.prepare(
    'DELETE FROM quota_counters WHERE counter > ? AND (? IS NULL OR counter <= ?) AND idle_at_ms <= ?',
  );
  let cursor = '';

  function kept(counter: string): LimitState | undefined {
    const row = select.get(counter);
    return row?.state instanceof Uint8Array ? decodeState(row.state) : undefined;
  }

  function inspect(limits: readonly Counted[], nowMs: number): LimitStatus[] {
    return limits.map(({ counter, rule }) => statusOf(rule, stateAt(rule, kept(counter), nowMs), nowMs));
  }

  return {
    inspect,
    take(limits, nowMs) {
      const states = limits.map(({ counter, rule }) => stateAt(rule, kept(counter), nowMs));
      const before = limits.map(({ rule }, i) => statusOf(rule, states[i] as LimitState, nowMs));
      if (before.some((status) => status.retryAfterMs > 0)) return { isAdmitted: false, statuses: before };
      const statuses = limits.map(({ counter, rule }, i) => {
        const state = take(states[i] as LimitState);
        const status = statusOf(rule, state, nowMs);
        upsert.run(counter, encodeState(state), nowMs + status.resetAfterMs);
        return status;
      });
      return { isAdmitted: true, statuses };
    },
    giveBack(charges, takenAtMs) {
      for (const [counter, stepMs] of charges) {
        const state = kept(counter);
        if (state) update.run(encodeState(giveBack(state, stepMs, takenAtMs)), counter);
      }
    },
    dropIdle(limit, nowMs) {
      const last = lastOfNext.get(cursor, limit - 1)?.counter;
      const end = typeof last === 'string' ? last : null;
      dropBetween.run(cursor, end, end, nowMs);
      cursor = end ?? '';
    },
  };
}
