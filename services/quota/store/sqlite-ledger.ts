import type { SQLOutputValue } from 'node:sqlite';
import type { SqliteStore } from '../../shared/store/sqlite.ts';
import type { UsageEntry } from './quota-store.ts';
import { createSqliteLedgerQueue } from './sqlite-ledger-queue.ts';

/**
 * The usage ledger in SQLite: a table in the order in which it is read, and what is not in it yet, in the order in which it came.
 * What is added is written by flush; every method is part of the caller's transaction.
 */
export interface SqliteLedger {
  add(entry: UsageEntry): void;
  /** Writes what was added, and moves some of what waits into the table when that is much. */
  flush(): void;
  /** Forgets all that is remembered of the file. */
  forget(): void;
  /** Moves at most `rows` rows into the table; returns whether none is left of those that waited at the first call. */
  settle(rows: number): boolean;
  /** At most `limit` rows of one day after another row of that day, in their order. */
  page(day: number, organizationId: string | undefined, after: UsageEntry | undefined, limit: number): UsageEntry[];
  /** The first day from `firstDay` to `lastDay` that has rows. */
  nextDay(firstDay: number, lastDay: number): number | undefined;
  /** Drops rows of days before `day`, at most `limit`. */
  dropBefore(day: number, limit: number): void;
}

const KEY = 'day, organization_id, key_id, user_id, model, engine';

/** Rows that wait until they are moved: the more, the more of them are about the same holder or lie beside each other. */
const WAITING_ROWS = 4_096;

/** Rows that a flush moves, at least as many as it adds. */
const ROWS_AT_ONCE = 512;

/** Prepares the statements. */
export function createSqliteLedger(store: SqliteStore): SqliteLedger {
  const { database } = store;
  const upsert = database.prepare(
    `INSERT INTO quota_ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET requests = requests + excluded.requests,
       prompt_tokens = prompt_tokens + excluded.prompt_tokens,
       completion_tokens = completion_tokens + excluded.completion_tokens`,
  );
  const ofDay = database.prepare(
    `SELECT * FROM quota_ledger WHERE day = ? AND (organization_id, key_id, user_id, model, engine) > (?, ?, ?, ?, ?)
     ORDER BY ${KEY} LIMIT ?`,
  );
  const ofOrganization = database.prepare(
    `SELECT * FROM quota_ledger WHERE day = ? AND organization_id = ? AND (key_id, user_id, model, engine) > (?, ?, ?, ?)
     ORDER BY ${KEY} LIMIT ?`,
  );
  const nextDay = database.prepare('SELECT day FROM quota_ledger WHERE day BETWEEN ? AND ? ORDER BY day LIMIT 1');
  const dropBefore = database.prepare(
    `DELETE FROM quota_ledger WHERE (${KEY}) IN (SELECT ${KEY} FROM quota_ledger WHERE day < ? LIMIT ?)`,
  );
  const waiting = createSqliteLedgerQueue(store);
  const settle = (rows: number): boolean => {
    for (const row of waiting.take(rows)) upsert.run(...row);
    return !waiting.isTaking();
  };

  return {
    add: waiting.add,
    flush() {
      waiting.flush();
      if (waiting.isTaking() || waiting.length() >= WAITING_ROWS) settle(ROWS_AT_ONCE);
    },
    forget: waiting.forget,
    settle,
    page(day, organizationId, after, limit) {
      // No name is less than an empty one, and no row has only empty ones: '' < any key id.
      const [, organization = '', ...rest] = after ? rowKey(after) : [day, '', '', '', '', ''];
      const [key = '', user = '', model = '', engine = ''] = rest;
      const rows =
        organizationId === undefined
          ? ofDay.all(day, organization, key, user, model, engine, limit)
          : ofOrganization.all(day, organizationId, key, user, model, engine, limit);
      return rows.map(usageEntry);
    },
    nextDay(firstDay, lastDay) {
      const day = nextDay.get(firstDay, lastDay)?.day;
      return day === undefined ? undefined : Number(day);
    },
    dropBefore: (day, limit) => void dropBefore.run(day, limit),
  };
}

function rowKey(entry: UsageEntry): [number, string, string, string, string, string] {
  return [entry.day, entry.organizationId, entry.keyId, entry.userId, entry.model, entry.engine];
}

function usageEntry(row: Record<string, SQLOutputValue>): UsageEntry {
  return {
    day: Number(row.day),
    organizationId: String(row.organization_id),
    keyId: String(row.key_id),
    userId: String(row.user_id),
    model: String(row.model),
    engine: String(row.engine),
    requests: Number(row.requests),
    promptTokens: Number(row.prompt_tokens),
    completionTokens: Number(row.completion_tokens),
  };
}
