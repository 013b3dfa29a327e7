import type { Logger } from 'pino';
import { closeRedis, openRedis, pingRedis, type RedisStore } from './redis.ts';
import { closeSqlite, openSqlite, pingSqlite, type SqliteStore } from './sqlite.ts';

/** The one store of a process: an embedded file, or the Redis that all processes of a cluster share. */
export type Store = SqliteStore | RedisStore;

/** Where the state lives. */
export interface StoreOptions {
  /** The shared store, e.g. "redis://127.0.0.1:6379" or the path of a Unix socket. Unset: SQLite. */
  readonly redisUrl?: string | undefined;
  /** The file of the embedded store; made with mode 0600 where it is missing. Its directory must exist. */
  readonly sqlitePath: string;
  /** The longest that a caller waits for one command of the shared store, in milliseconds. Default 200. */
  readonly commandTimeoutMs?: number;
  readonly log: Logger;
}

/**
 * Opens the store and proves that it answers.
 *
 * @throws ConfigError when it was written by a newer version, cannot be opened, or would lose entries on its own;
 * MeshError STORE_UNAVAILABLE when the shared one does not answer.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { redisUrl, sqlitePath, log, commandTimeoutMs } = options;
  return redisUrl ? await openRedis(redisUrl, log, commandTimeoutMs) : openSqlite(sqlitePath);
}

/** Whether the store answers now. Never rejects. */
export async function pingStore(store: Store): Promise<boolean> {
  return store.kind === 'sqlite' ? pingSqlite(store) : await pingRedis(store);
}

/** Closes the store. What is under way on it fails with STORE_UNAVAILABLE. */
export async function closeStore(store: Store): Promise<void> {
  if (store.kind === 'sqlite') closeSqlite(store);
  else await closeRedis(store);
}
