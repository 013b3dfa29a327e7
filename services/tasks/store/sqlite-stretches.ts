import type { SqliteStore } from '../../shared/store/sqlite.ts';

/** Where a task stands: within a priority the order is that of the tags, then of the numbers. */
export interface Place {
  readonly seq: number;
  readonly priority: number;
  readonly tag: number;
}

/**
 * How many wait, counted per stretch of the order, per stretch of stretches, and so on, so that a position is a few short sums
 * however many wait and however they crowd. Every method is part of the caller's transaction.
 */
export interface SqliteStretches {
  /** One waits that `tasks_tasks` has as queued already. */
  add(place: Place): void;
  /** It waits no more. */
  remove(place: Place): void;
  /** How many of its priority stand before it. */
  before(place: Place): number;
  /** How many wait at higher priorities. */
  above(priority: number): number;
}

/** So many levels are more than a store of one machine has tasks for. */
const LEVELS = 3;

/** Parts that a stretch has at most. */
const MOST_PARTS = 64;

interface Stretch {
  readonly tag: number;
  readonly seq: number;
  readonly waiting: number;
}

const START: Stretch = { tag: 0, seq: 0, waiting: 0 };
const END = { tag: Number.MAX_SAFE_INTEGER, seq: 0 };

/** Prepares the statements; `mostParts` for tests. */
export function createSqliteStretches({ database }: SqliteStore, mostParts: number = MOST_PARTS): SqliteStretches {
  const of = 'FROM tasks_stretches WHERE level = ?1 AND priority = ?2';
  const columns = 'first_tag AS tag, first_seq AS seq, waiting';
  const last = database.prepare(`SELECT ${columns} ${of} AND (first_tag, first_seq) >= (?3, ?4)
    AND (first_tag, first_seq) <= (?5, ?6) ORDER BY first_tag DESC, first_seq DESC LIMIT 1`);
  const next = database.prepare(`SELECT ${columns} ${of} AND (first_tag, first_seq) > (?3, ?4)
    ORDER BY first_tag, first_seq LIMIT 1`);
  const within = `${of} AND (first_tag, first_seq) >= (?3, ?4) AND (first_tag, first_seq) < (?5, ?6)`;
  const parts = database.prepare(`SELECT ${columns} ${within} ORDER BY first_tag, first_seq`);
  const sum = database.prepare(`SELECT sum(waiting) AS waiting ${within}`);
  const sumAbove = database.prepare(
    'SELECT sum(waiting) AS waiting FROM tasks_stretches WHERE level = ? AND priority > ?',
  );
  const insert = database.prepare('INSERT INTO tasks_stretches VALUES (?, ?, ?, ?, ?)');
  const change = database.prepare(`UPDATE tasks_stretches SET waiting = waiting + ?5
    WHERE level = ?1 AND priority = ?2 AND first_tag = ?3 AND first_seq = ?4`);
  const forget = database.prepare(`DELETE ${of} AND first_tag = ?3 AND first_seq = ?4`);
  const queued = `FROM tasks_tasks WHERE state = 'queued' AND priority = ?1 AND (tag, seq) >= (?2, ?3)`;
  const rowsBefore = database.prepare(`SELECT count(*) AS waiting ${queued} AND (tag, seq) < (?4, ?5)`);
  const middleRow = database.prepare(`SELECT tag, seq ${queued} ORDER BY tag, seq LIMIT 1 OFFSET ?4`);

  const numberOf = (row: Record<string, unknown> | undefined): number => Number(row?.waiting ?? 0);

  /** The stretch of a level that has the place, in the one above that begins at `from`. */
  function find(level: number, from: Stretch, { priority, tag, seq }: Place): Stretch | undefined {
    return last.get(level, priority, from.tag, from.seq, tag, seq) as Stretch | undefined;
  }

  /** Halves a stretch that has too many parts. Returns whether it did. */
  function split(level: number, priority: number, { tag, seq, waiting }: Stretch): boolean {
    if (level === 1) {
      const kept = Math.floor(waiting / 2);
      const row = waiting > mostParts ? (middleRow.get(priority, tag, seq, kept) as Stretch | undefined) : undefined;
      if (row) cut(level, priority, { tag, seq, waiting }, row, kept);
      return row !== undefined;
    }
    const end = (next.get(level, priority, tag, seq) ?? END) as Stretch;
    const all = parts.all(level - 1, priority, tag, seq, end.tag, end.seq) as unknown as Stretch[];
    const middle = all[Math.floor(all.length / 2)];
    if (all.length <= mostParts || !middle) return false;
    const kept = all.slice(0, Math.floor(all.length / 2)).reduce((total, part) => total + part.waiting, 0);
    cut(level, priority, { tag, seq, waiting }, middle, kept);
    return true;
  }

  function cut(level: number, priority: number, whole: Stretch, at: Omit<Stretch, 'waiting'>, kept: number): void {
    change.run(level, priority, whole.tag, whole.seq, kept - whole.waiting);
    insert.run(level, priority, at.tag, at.seq, whole.waiting - kept);
  }

  return {
    add(place) {
      const { priority } = place;
      const path: Stretch[] = [];
      let from = START;
      for (let level = LEVELS; level > 0; level -= 1) {
        const found = find(level, from, place);
        if (found) change.run(level, priority, found.tag, found.seq, 1);
        else insert.run(level, priority, from.tag, from.seq, 1);
        from = { ...(found ?? from), waiting: (found?.waiting ?? 0) + 1 };
        path[level] = from;
      }
      for (let level = 1; level <= LEVELS; level += 1) {
        const stretch = path[level];
        // Those above one that was not cut have the parts they had.
        if (!stretch || !split(level, priority, stretch)) return;
      }
    },
    remove(place) {
      let from = START;
      for (let level = LEVELS; level > 0; level -= 1) {
        const found = find(level, from, place);
        if (!found) return;
        if (found.waiting > 1) change.run(level, place.priority, found.tag, found.seq, -1);
        else forget.run(level, place.priority, found.tag, found.seq);
        from = found;
      }
    },
    before(place) {
      const { priority, tag, seq } = place;
      let count = 0;
      let from = START;
      for (let level = LEVELS; level > 0; level -= 1) {
        const found = find(level, from, place);
        // Nobody stands between the beginning of the one above and the place.
        if (!found) return count;
        count += numberOf(sum.get(level, priority, from.tag, from.seq, found.tag, found.seq));
        from = found;
      }
      return count + numberOf(rowsBefore.get(priority, from.tag, from.seq, tag, seq));
    },
    above: (priority) => numberOf(sumAbove.get(LEVELS, priority)),
  };
}
