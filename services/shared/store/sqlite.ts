import { chmodSync, closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { ConfigError } from '../lifecycle/config-source.ts';
import { storeUnavailable } from './store-error.ts';
import { inStoreSpan } from './traced-store.ts';

/** The embedded store. Calls block for microseconds, so they are made on the event loop. */
export interface SqliteStore {
  readonly kind: 'sqlite';
  readonly database: DatabaseSync;
  /**
   * Runs `work` as one transaction: all of it or nothing. When this returns, a kill of the process loses nothing.
   * Transactions do not nest.
   *
   * @throws MeshError STORE_UNAVAILABLE when the file cannot be read or written; whatever `work` throws.
   */
  transaction<T>(work: () => T): T;
}

/** How long a process waits for another one that writes to the same file, in milliseconds. */
const BUSY_TIMEOUT_MS = 2_000;

/**
 * Pages in the write-ahead log before they are moved to the file, which blocks for two fsyncs. Measured: 4,000 pages
 * (16 MB) instead of the default 1,000 make that four times rarer at the same cost per transaction.
 */
const CHECKPOINT_PAGES = 4_000;

/** Primary result codes of SQLite that blame the machine and not the statement: BUSY … CANTOPEN, NOTADB. */
const MACHINE_ERRORS: ReadonlySet<number> = new Set([5, 6, 7, 8, 10, 11, 13, 14, 26]);

/**
 * Opens the file.
 *
 * @throws ConfigError when it cannot be opened or is no database.
 */
export function openSqlite(path: string): SqliteStore {
  try {
    // SQLite gives its companion files the mode of the main one.
    closeSync(openSync(path, 'a', 0o600));
    chmodSync(path, 0o600);
    const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
    database.exec('PRAGMA journal_mode = WAL');
    // NORMAL is durable to a kill of the process; a power cut may lose the last transactions but never the file.
    database.exec('PRAGMA synchronous = NORMAL');
    database.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    return { kind: 'sqlite', database, transaction: transactions(database) };
  } catch (error) {
    throw new ConfigError(
      `store ${path}: cannot be opened (${error instanceof Error ? error.message : String(error)})`,
    );
  }
}

/** Whether the file can be read. */
export function pingSqlite(store: SqliteStore): boolean {
  try {
    store.database.prepare('SELECT 1').get();
    return true;
  } catch {
    // Why it does not answer shows in the error of the operation that needs it.
    return false;
  }
}

/** Closes the file. Closing twice is no error. */
export function closeSqlite(store: SqliteStore): void {
  if (store.database.isOpen) store.database.close();
}

function transactions(database: DatabaseSync): SqliteStore['transaction'] {
  // IMMEDIATE takes the write lock at once: a transaction that reads first and writes later could otherwise fail late.
  const begin = database.prepare('BEGIN IMMEDIATE');
  const commit = database.prepare('COMMIT');
  const rollback = database.prepare('ROLLBACK');
  const run = <T>(work: () => T): T => {
    try {
      begin.run();
      const result = work();
      commit.run();
      return result;
    } catch (error) {
      if (database.isOpen && database.isTransaction) rollback.run();
      throw sqliteError(error);
    }
  };
  return (work) => inStoreSpan('transaction', () => run(work));
}

/** An error of a statement → MeshError STORE_UNAVAILABLE when the machine is to blame, else as it is. */
export function sqliteError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code, errcode } = error as Error & { code?: unknown; errcode?: unknown };
  const isClosed = code === 'ERR_INVALID_STATE';
  // The low byte is the primary code.
  const isMachine = code === 'ERR_SQLITE_ERROR' && typeof errcode === 'number' && MACHINE_ERRORS.has(errcode & 0xff);
  return isClosed || isMachine ? storeUnavailable('sqlite', error) : error;
}
