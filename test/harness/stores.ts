import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe } from 'vitest';
import { closeStore, openStore, type Store } from '../../services/shared/store/store.ts';
import type { RunningProgram } from './processes.ts';
import { hasRedis, startRedis } from './redis.ts';

/** What a suite gets to work with, per driver. */
export interface TestStores {
  readonly kind: Store['kind'];
  /** One more connection to the same state, closed with the suite. */
  open(): Promise<Store>;
  /** An empty state of its own: what was opened before keeps its own on SQLite and loses it on Redis. */
  openEmpty(): Promise<Store>;
  /** The server, for tests that stop it. Only with Redis. */
  server(): RunningProgram;
}

/** Runs one suite on both stores. Where the machine has no Redis server its half is skipped, in CI that is an error. */
export function describeStores(name: string, suite: (stores: TestStores) => void): void {
  describe(`${name} on SQLite`, () => suite(sqliteStores()));
  if (hasRedis()) describe(`${name} on Redis`, () => suite(redisStores()));
  else describe.skip(`${name} on Redis (skipped: redis-server is not installed)`, () => suite(redisStores()));
}

function sqliteStores(): TestStores {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-store-'));
  const opened: Store[] = [];
  let files = 0;
  const open = async (): Promise<Store> => {
    const store = await openStore({ sqlitePath: join(directory, `${files}.db`), log: pino({ level: 'silent' }) });
    opened.push(store);
    return store;
  };
  afterAll(async () => {
    await Promise.all(opened.map(closeStore));
    rmSync(directory, { recursive: true });
  });
  return {
    kind: 'sqlite',
    open,
    openEmpty() {
      files += 1;
      return open();
    },
    server: () => {
      throw new Error('SQLite has no server');
    },
  };
}

function redisStores(): TestStores {
  const opened: Store[] = [];
  let running: { url: string; server: RunningProgram } | undefined;
  const server = (): { url: string; server: RunningProgram } => {
    if (!running) throw new Error('the server runs from beforeAll on');
    return running;
  };
  const open = async (): Promise<Store> => {
    const store = await openStore({
      redisUrl: server().url,
      sqlitePath: '',
      // A server that shares two cores with another test is late and not away.
      commandTimeoutMs: 2_000,
      log: pino({ level: 'silent' }),
    });
    opened.push(store);
    return store;
  };
  beforeAll(async () => {
    running = await startRedis();
  });
  afterAll(async () => {
    await Promise.all(opened.map(closeStore));
    await running?.server.stop('SIGKILL');
  });
  return {
    kind: 'redis',
    open,
    async openEmpty() {
      const store = await open();
      if (store.kind === 'redis') await store.redis.flushall();
      return store;
    },
    server: () => server().server,
  };
}
