import type { SqliteStore } from '../../shared/store/sqlite.ts';
import type { Standing } from '../admission.ts';
import { CLOCK_SLACK_MS, type LimitState, type Rule, stateAt, statusOf } from '../budget.ts';
import { decodeCounter, encodeCounter, idleAtMsOf } from './limit-state-codec.ts';
import type { Counted } from './quota-store.ts';
import { SqliteRecordLog } from './sqlite-record-log.ts';

/** The counters in SQLite. What is kept is written by flush; every method is part of the caller's transaction. */
export interface SqliteCounters {
  readonly log: SqliteRecordLog;
  /** The limits as they stand at `nowMs`; `known` are their counters as an earlier call found them. */
  standings(limits: readonly Counted[], nowMs: number, known?: readonly Counter[]): CounterStanding[];
  /** Keeps what came of `standings`; what is the same object as before is left alone. */
  keep(standings: readonly CounterStanding[], states: readonly LimitState[]): void;
  /** Writes every counter that changed, once. */
  flush(nowMs: number): void;
  /** Forgets all that is remembered of the file. */
  forget(): void;
  /** Drops counters that say nothing any more among the next `limit` blocks, and goes on from there the next time. */
  dropIdle(limit: number, nowMs: number): void;
}

/** How a limit stands, with the counter that says so. */
export interface CounterStanding extends Standing {
  readonly from: Counter;
}

/** A counter in memory. */
export interface Counter {
  readonly counter: string;
  /** Undefined: nothing was taken. */
  state: LimitState | undefined;
  /** Whether the file has it. */
  isKept: boolean;
  /** By which rule it changed; undefined: it is as in the file. */
  changedBy: Rule | undefined;
  /** The generation that looked at it last. */
  generation: number;
}

/** Counters that are remembered from one transaction to the next, about 700 bytes each; then as many of them that come later. */
const REMEMBERED = 5_000;

/** Versions of counters that may lie in the file besides those that count, and as many as those do. */
const SUPERSEDED = 4_096;

/** Blocks that one flush cleans at most, about twice as many as it writes. */
const CLEANED_BLOCKS = 96;

/** Prepares the statements. */
export function createSqliteCounters(store: SqliteStore): SqliteCounters {
  const log = new SqliteRecordLog(store, 'quota_counter_blocks');
  let remembered = new Map<string, Counter>();
  let earlier = new Map<string, Counter>();
  let changed: Counter[] = [];
  let generation = 0;
  let cursor = 0;

  function recall(counter: string): Counter {
    const known = remembered.get(counter);
    if (known) return known;
    const found = earlier.get(counter) ?? read(counter);
    found.generation = generation;
    remembered.set(counter, found);
    return found;
  }

  /** What was found before, while it is still remembered. */
  function recallKnown(known: Counter | undefined, counter: string): Counter {
    return known && known.generation >= generation - 1 ? known : recall(counter);
  }

  function read(counter: string): Counter {
    const state = log.get(counter, decodeCounter);
    return { counter, state, isKept: state !== undefined, changedBy: undefined, generation };
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
    for (const one of changed) {
      const { counter, state, changedBy, isKept } = one;
      if (state && changedBy) log.put(counter, encodeCounter(state, idleAtMs(changedBy, state, nowMs)), isKept);
      one.isKept = true;
      one.changedBy = undefined;
    }
    changed = [];
    log.flush();
    if (remembered.size <= REMEMBERED) return;
    earlier = remembered;
    remembered = new Map();
    generation += 1;
  }

  return {
    log,
    standings(limits, nowMs, known) {
      return limits.map(({ counter, unit, rule }, i) => {
        const from = recallKnown(known?.[i], counter);
        return { unit, rule, state: stateAt(rule, from.state, nowMs), from };
      });
    },
    keep(standings, states) {
      for (let i = 0; i < standings.length; i += 1) {
        const [standing, state] = [standings[i], states[i]];
        if (!standing || !state || state === standing.state) continue;
        const { from, rule } = standing;
        if (!from.changedBy) changed.push(from);
        from.changedBy = rule;
        from.state = state;
      }
    },
    flush,
    forget() {
      remembered.clear();
      earlier.clear();
      changed = [];
      generation += 2;
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
