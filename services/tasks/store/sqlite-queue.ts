import type { SqliteStore } from '../../shared/store/sqlite.ts';
import { nextHead, tagOf } from '../queue-order.ts';
import { createSqliteStretches, type Place } from './sqlite-stretches.ts';

/** Whose task stands where. */
export interface Turn extends Place {
  readonly organization: string;
}

/** The order of turns in SQLite; the states of the tasks are its owner's. Every method is part of the caller's transaction. */
export interface SqliteQueue {
  /** The tag of a new task, which its organisation pays for. */
  enter(organization: string, priority: number, cost: number): number;
  /** One more waits. */
  joined(turn: Turn): void;
  /** One waits no more. */
  left(turn: Turn): void;
  /** It was its turn. */
  served(place: Place): void;
  /** Whose turn it is; undefined: nobody waits. */
  next(nowMs: number): number | undefined;
  /** How many go before, and itself. */
  position(place: Place): number;
}

/** Prepares the statements. */
export function createSqliteQueue(store: SqliteStore, ageingMs: number): SqliteQueue {
  const { database } = store;
  const stretches = createSqliteStretches(store);
  const servedTag = database.prepare('SELECT served_tag FROM tasks_lines WHERE priority = ?');
  const serve = database.prepare(
    `INSERT INTO tasks_lines VALUES (?1, ?2)
     ON CONFLICT DO UPDATE SET served_tag = max(served_tag, excluded.served_tag)`,
  );
  const lastTag = database.prepare('SELECT last_tag FROM tasks_shares WHERE priority = ? AND organization = ?');
  const share = database.prepare(
    `INSERT INTO tasks_shares VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
     SET last_tag = max(last_tag, excluded.last_tag), waiting = waiting + excluded.waiting`,
  );
  const leaveShare = database.prepare(
    'UPDATE tasks_shares SET waiting = waiting - 1 WHERE priority = ? AND organization = ?',
  );
  const forgetShare = database.prepare(
    'DELETE FROM tasks_shares WHERE priority = ? AND organization = ? AND waiting <= 0',
  );
  const highest = database.prepare(`SELECT max(priority) AS priority FROM tasks_tasks
    WHERE state = 'queued' AND priority < ?`);
  const head = database.prepare(`SELECT seq, priority, tag, submitted_at_ms AS submittedAtMs FROM tasks_tasks
    WHERE state = 'queued' AND priority = ? ORDER BY tag, seq LIMIT 1`);

  return {
    enter(organization, priority, cost) {
      const last = lastTag.get(priority, organization)?.last_tag;
      const line = {
        servedTag: Number(servedTag.get(priority)?.served_tag ?? 0),
        lastTag: last === undefined ? undefined : Number(last),
      };
      const tag = tagOf(line, cost);
      share.run(priority, organization, tag, 0);
      return tag;
    },
    joined(turn) {
      stretches.add(turn);
      share.run(turn.priority, turn.organization, 0, 1);
    },
    left(turn) {
      stretches.remove(turn);
      leaveShare.run(turn.priority, turn.organization);
      // Who has nothing waiting any more begins anew at the turn that was served last.
      forgetShare.run(turn.priority, turn.organization);
    },
    served: ({ priority, tag }) => void serve.run(priority, tag),
    next(nowMs) {
      const heads: { seq: number; priority: number; tag: number; submittedAtMs: number }[] = [];
      for (let below = Number.MAX_SAFE_INTEGER; ; ) {
        const { priority } = highest.get(below) ?? {};
        if (typeof priority !== 'number') break;
        heads.push(head.get(priority) as unknown as (typeof heads)[number]);
        below = priority;
      }
      return nextHead(heads, nowMs, ageingMs)?.seq;
    },
    position: (place) => 1 + stretches.above(place.priority) + stretches.before(place),
  };
}
