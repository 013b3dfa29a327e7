import type { SqliteStore } from '../../shared/store/sqlite.ts';
import type { Standing } from '../admission.ts';
import { CLOCK_SLACK_MS, type LimitState, type Rule, stateAt, statusOf } from '../budget.ts';
import { decodeCounter, encodeCounter, idleAtMsOf } from './limit-state-codec.ts';
import type { Counted } from './quota-store.ts';
import { SqliteRecordLog } from './sqlite-record-log.ts';

/** The counters in SQLite. What is kept is written by flush; every method is part of the caller's transaction. */
export interface SqliteCounters {
  readonly log: SqliteRecordLog;
  /** The limits as they stand at `nowMs`. */
  standings(limits: readonly Counted[], nowMs: number): Standing[];
  /** Keeps what came of `standings`; what is the same object as before is left alone. */
  keep(limits: readonly Counted[], standings: readonly Standing[], states: readonly LimitState[]): void;
  /** Writes every counter that changed, once. */
  flush(nowMs: number): void;
  /** Forgets all that is remembered of the file. */
  forget(): void;
  /** Drops counters that say nothing any more among the next `limit` blocks, and goes on from there the next time. */
  dropIdle(limit: number, nowMs: number): void;
}

/** A counter in memory. */
interface Remembered {
  /** Undefined: nothing was taken. */
  state: LimitState | undefined;
  isKept: boolean;
}

/** Counters that are remembered from one transaction to the next, about 700 bytes each; then as many of them that come later. */
const REMEMBERED = 25_000;

/** Versions of counters that may lie in the file besides those that count, and as many as those do. */
const SUPERSEDED = 4_096;

/** Blocks that one flush cleans at most, about twice as many as it writes. */
const CLEANED_BLOCKS = 96;

/** Prepares the statements. */
export function createSqliteCounters(store: SqliteStore): SqliteCounters {
  const log = new SqliteRecordLog(store, 'quota_counter_blocks');
  let remembered = new Map<string, Remembered>();
  let earlier = new Map<string, Remembered>();
  const changed = new Map<string, Rule>();
  let cursor = 0;

  function recall(counter: string): Remembered {
    const known = remembered.get(counter);
    if (known) return known;
    const found = earlier.get(counter) ?? read(counter);
    remembered.set(counter, found);
    return found;
  }

  function read(counter: string): Remembered {
    const bytes = log.get(counter);
    return { state: bytes && decodeCounter(bytes), isKept: bytes !== undefined };
  }

  /** Of what is in the file: whether it says anything. */
  function isIdle(counter: string, bytes: Uint8Array, nowMs: number): boolean {
    if (idleAtMsOf(bytes) > nowMs) return false;
    const known = remembered.get(counter) ?? earlier.get(counter);
    if (known) known.isKept = false;
    return true;
  }

  function flush(nowMs: number): void {
    if (log.written > 2 * log.size + SUPERSEDED) {
      log.walk(0, CLEANED_BLOCKS, (counter, bytes) => (isIdle(counter, bytes, nowMs) ? 'drop' : 'move'));
    }
    for (const [counter, rule] of changed) {
      const { state, isKept } = recall(counter);
      if (state) log.put(counter, encodeCounter(state, idleAtMs(rule, state, nowMs)), isKept);
      remembered.set(counter, { state, isKept: true });
    }
    changed.clear();
    log.flush();
    if (remembered.size <= REMEMBERED) return;
    earlier = remembered;
    remembered = new Map();
  }

  return {
    log,
    standings(limits, nowMs) {
      return limits.map(({ counter, unit, rule }) => ({
        ...{ unit, rule, state: stateAt(rule, recall(counter).state, nowMs) },
      }));
    },
    keep(limits, standings, states) {
      for (let i = 0; i < limits.length; i += 1) {
        const [limit, state] = [limits[i], states[i]];
        if (!limit || !state || state === standings[i]?.state) continue;
        recall(limit.counter).state = state;
        changed.set(limit.counter, limit.rule);
      }
    },
    flush,
    forget() {
      remembered.clear();
      earlier.clear();
      changed.clear();
    },
    dropIdle(limit, nowMs) {
      flush(nowMs);
      cursor = log.walk(cursor, limit, (counter, bytes) => (isIdle(counter, bytes, nowMs) ? 'drop' : 'stay'));
      log.flush();
    },
  };
}

/** From when on a counter says nothing. While something is held that is never: only the end of the work returns it. */
function idleAtMs(rule: Rule, state: LimitState, nowMs: number): number {
  if (state.held > 0) return Number.MAX_SAFE_INTEGER;
  return nowMs + statusOf(rule, state, 0, nowMs).resetAfterMs + CLOCK_SLACK_MS;
}
