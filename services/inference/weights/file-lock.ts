import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';

const SQLITE_BUSY = 5;

/** Between two looks whether the lock is free, in milliseconds. */
const LOOK_EVERY_MS = 200;

/**
 * Runs `work` while no other process, and nobody else in this one, holds the lock of this file. The kernel holds it, through
 * SQLite because Node.js has no call for it: a holder that is killed leaves none behind.
 *
 * @throws the signal's reason; whatever `work` throws; an SQLite error when the file cannot be made.
 */
export async function withFileLock<T>(
  path: string,
  options: { readonly signal: AbortSignal; readonly onWait: () => void },
  work: () => Promise<T>,
): Promise<T> {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    if (!tryLock(database)) {
      options.onWait();
      while (!tryLock(database)) await delay(LOOK_EVERY_MS, undefined, { signal: options.signal });
    }
    return await work();
  } finally {
    database.close();
  }
}

function tryLock(database: DatabaseSync): boolean {
  try {
    database.exec('BEGIN EXCLUSIVE');
    return true;
  } catch (error) {
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return false;
    throw error;
  }
}
