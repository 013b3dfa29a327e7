import type { SqliteStore } from '../../shared/store/sqlite.ts';
import type { Standing } from '../admission.ts';
import { CLOCK_SLACK_MS, type LimitState, type Rule, stateAt, statusOf } from '../budget.ts';
import { decodeState, encodeState } from './limit-state-codec.ts';
import type { Counted } from './quota-store.ts';

/** The counters in SQLite. What is kept is written by flush; every method is part of the caller's transaction. */
export interface SqliteCounters {
  /** The limits as they stand at `nowMs`. */
  standings(limits: readonly Counted[], nowMs: number): Standing[];
  /** Keeps what came of `standings`; what is the same object as before is left alone. */
  keep(limits: readonly Counted[], standings: readonly Standing[], states: readonly LimitState[]): void;
  /** Writes every counter that changed, once. */
  flush(nowMs: number): void;
  /** Forgets all that is remembered of the file. */
  forget(): void;
  /** Drops counters that say nothing any more among the next `limit` of all, and goes on from there the next time. */
  dropIdle(limit: number, nowMs: number): void;
}

/** Counters that are remembered from one transaction to the next, about 700 bytes each. */
const REMEMBERED = 50_000;

/** Prepares the statements. */
export function createSqliteCounters({ database }: SqliteStore): SqliteCounters {
  const select = database.prepare('SELECT state FROM quota_counters WHERE counter = ?');
  const upsert = database.prepare(
    `INSERT INTO quota_counters VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET state = excluded.state, idle_at_ms = excluded.idle_at_ms`,
  );
  const lastOfNext = database.prepare(
    'SELECT counter FROM quota_counters WHERE counter > ? ORDER BY counter LIMIT 1 OFFSET ?',
  );
  const dropBetween = database.prepare(
    'DELETE FROM quota_counters WHERE counter > ? AND (? IS NULL OR counter <= ?) AND idle_at_ms <= ?',
  );
  /** Undefined: the file has none. */
  const remembered = new Map<string, LimitState | undefined>();
  const changed = new Map<string, Rule>();
  let cursor = '';

  function kept(counter: string): LimitState | undefined {
    const known = remembered.get(counter);
    if (known || remembered.has(counter)) return known;
    const row = select.get(counter);
    const state = row?.state instanceof Uint8Array ? decodeState(row.state) : undefined;
    remembered.set(counter, state);
    return state;
  }

  function flush(nowMs: number): void {
    for (const [counter, rule] of changed) {
      const state = remembered.get(counter);
      if (state) upsert.run(counter, encodeState(state), idleAtMs(rule, state, nowMs));
    }
    changed.clear();
    if (remembered.size > REMEMBERED) remembered.clear();
  }

  return {
    standings(limits, nowMs) {
      return limits.map(({ counter, unit, rule }) => ({ unit, rule, state: stateAt(rule, kept(counter), nowMs) }));
    },
    keep(limits, standings, states) {
      for (let i = 0; i < limits.length; i += 1) {
        const [limit, state] = [limits[i], states[i]];
        if (!limit || !state || state === standings[i]?.state) continue;
        remembered.set(limit.counter, state);
        changed.set(limit.counter, limit.rule);
      }
    },
    flush,
    forget() {
      remembered.clear();
      changed.clear();
    },
    dropIdle(limit, nowMs) {
      flush(nowMs);
      const last = lastOfNext.get(cursor, limit - 1)?.counter;
      const end = typeof last === 'string' ? last : null;
      if (dropBetween.run(cursor, end, end, nowMs).changes !== 0) remembered.clear();
      cursor = end ?? '';
    },
  };
}

/** From when on a counter says nothing. While something is held that is never: only the end of the work returns it. */
function idleAtMs(rule: Rule, state: LimitState, nowMs: number): number {
  if (state.held > 0) return Number.MAX_SAFE_INTEGER;
  return nowMs + statusOf(rule, state, 0, nowMs).resetAfterMs + CLOCK_SLACK_MS;
}
