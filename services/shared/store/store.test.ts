import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, describe, expect, test } from 'vitest';
import { stretched } from '../../../test/harness/patience.ts';
import { eventually, startProgram } from '../../../test/harness/processes.ts';
import { hasRedis, startRedis } from '../../../test/harness/redis.ts';
import { describeStores } from '../../../test/harness/stores.ts';
import { ConfigError } from '../lifecycle/config-source.ts';
import type { RedisStore } from './redis.ts';
import { redisScript, runScript } from './redis-script.ts';
import { openSqlite } from './sqlite.ts';
import { migrateSqlite } from './sqlite-migrations.ts';
import { closeStore, openStore, pingStore, type Store } from './store.ts';

const log = pino({ level: 'silent' });
/** In milliseconds. */
const PATIENCE_MS = 20_000;
const directory = mkdtempSync(join(tmpdir(), 'mesh-store-test-'));
afterAll(() => rmSync(directory, { recursive: true }));

describeStores('a store', (stores) => {
  test('answers while it is open', async () => {
    const store = await stores.open();
    expect(await pingStore(store)).toBe(true);
    await closeStore(store);
    expect(await pingStore(store)).toBe(false);
  });
});

describe('the SQLite file', () => {
  test('is readable by its owner only, its companions too, also when it was not', () => {
    const path = join(directory, 'mode.db');
    writeFileSync(path, '');
    chmodSync(path, 0o644);
    const store = openSqlite(path);
    store.database.exec('CREATE TABLE t (x)');
    for (const name of [path, `${path}-wal`, `${path}-shm`]) expect(statSync(name).mode & 0o777).toBe(0o600);
    store.database.close();
  });

  test('is migrated from an older version and refused from a newer one', () => {
    const path = join(directory, 'versions.db');
    const store = openSqlite(path);
    const steps = ['CREATE TABLE a (x)', 'ALTER TABLE a ADD COLUMN y DEFAULT 7'];
    migrateSqlite(store, 'auth', steps.slice(0, 1));
    store.database.exec('INSERT INTO a VALUES (1)');
    migrateSqlite(store, 'auth', steps);
    migrateSqlite(store, 'quota', steps.slice(0, 0));
    expect(store.database.prepare('SELECT * FROM a').get()).toEqual({ x: 1, y: 7 });
    expect(() => migrateSqlite(store, 'auth', steps.slice(0, 1))).toThrow(/newer/);
    expect(() => migrateSqlite(store, 'auth', steps.slice(0, 1))).toThrow(ConfigError);
    store.database.close();
  });

  test('a migration that fails changes nothing', () => {
    const store = openSqlite(join(directory, 'failed.db'));
    expect(() => migrateSqlite(store, 'auth', ['CREATE TABLE a (x)', 'nonsense'])).toThrow();
    migrateSqlite(store, 'auth', ['CREATE TABLE a (x)']);
    store.database.close();
  });

  test('a transaction that throws is undone and the next one works', () => {
    const store = openSqlite(join(directory, 'undone.db'));
    store.database.exec('CREATE TABLE a (x)');
    const insert = store.database.prepare('INSERT INTO a VALUES (1)');
    const failing = (): void =>
      store.transaction(() => {
        insert.run();
        throw new Error('no');
      });
    expect(failing).toThrow('no');
    store.transaction(() => insert.run());
    expect(store.database.prepare('SELECT count(*) AS n FROM a').get()).toEqual({ n: 1 });
    store.database.close();
  });

  test('keeps what a process that was killed had acknowledged', async () => {
    const path = join(directory, 'killed.db');
    const program = `
      import { writeSync } from 'node:fs';
      import { openSqlite } from ${JSON.stringify(join(import.meta.dirname, 'sqlite.ts'))};
      const store = openSqlite(${JSON.stringify(path)});
      store.database.exec('CREATE TABLE a (x INTEGER PRIMARY KEY)');
      const insert = store.database.prepare('INSERT INTO a DEFAULT VALUES');
      // Written at once: it ends with its reader.
      for (;;) writeSync(1, store.transaction(() => insert.run().lastInsertRowid) + '\\n');`;
    const writer = startProgram(process.execPath, ['--input-type=module', '-e', program], {});
    await eventually('it writes', () => writer.output().split('\n').length > 500);
    expect(await writer.stop('SIGKILL')).toBe('SIGKILL');
    const acknowledged = Number(writer.output().split('\n').at(-2));
    const store = openSqlite(path);
    const row = store.database.prepare('SELECT count(*) AS rows FROM a').get();
    expect(Number(row?.rows)).toBeGreaterThanOrEqual(acknowledged);
    store.database.close();
  });

  test('is refused when it is no database', () => {
    const path = join(directory, 'other.db');
    writeFileSync(path, 'not a database at all, but long enough to have a header'.repeat(20));
    expect(() => openSqlite(path)).toThrow(ConfigError);
  });
});

describe.skipIf(!hasRedis())('Redis', () => {
  const COUNT = redisScript(`
    if redis.call('SET', KEYS[2], '1', 'NX') then return redis.call('INCR', KEYS[1]) end
    return tonumber(redis.call('GET', KEYS[1]))`);

  async function withRedis(
    run: (store: RedisStore, server: Awaited<ReturnType<typeof startRedis>>) => Promise<void>,
    // A server that shares two cores with another test is late and not away.
    options: { readonly commandTimeoutMs?: number } = { commandTimeoutMs: PATIENCE_MS },
  ): Promise<void> {
    const server = await startRedis();
    let store: Store | undefined;
    try {
      store = await openStore({ redisUrl: server.url, sqlitePath: '', log, ...options });
      if (store.kind !== 'redis') throw new Error('expected Redis');
      await run(store, server);
    } finally {
      if (store) await closeStore(store);
      server.server.child.kill('SIGCONT');
      await server.server.stop('SIGKILL');
    }
  }

  test('a script is loaded when the server does not know it', () =>
    withRedis(async (store) => {
      expect(await runScript(store, COUNT, ['{t}:n', '{t}:op1'], [])).toBe(1);
      await store.redis.script('FLUSH');
      expect(await runScript(store, COUNT, ['{t}:n', '{t}:op2'], [])).toBe(2);
    }));

  test('a stopped server fails fast, runs nothing twice, and is used again once it goes on', () =>
    withRedis(async (store, { server }) => {
      await eventually('redis is used', () => runScript(store, COUNT, ['{t}:n', '{t}:op0'], []));
      server.child.kill('SIGSTOP');
      const startedAtMs = performance.now();
      const error = await runScript(store, COUNT, ['{t}:n', '{t}:op1'], []).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ reason: 'STORE_UNAVAILABLE', retryAfterMs: 1000, metadata: { store: 'redis' } });
      // By the limit of a command, long before the silent connection is given up.
      expect(store.redis.status).toBe('ready');
      expect(performance.now() - startedAtMs).toBeLessThan(stretched(400));
      server.child.kill('SIGCONT');
      // The outcome was unknown; the same operation is repeated until it is known, and counts once.
      const count = await eventually('redis is used again', () => runScript(store, COUNT, ['{t}:n', '{t}:op1'], []));
      expect(count).toBe(2);
    }, {}));

  test('a server that is away fails at once', () =>
    withRedis(async (store, { server }) => {
      await server.stop('SIGKILL');
      await eventually('the loss is seen', async () => !(await pingStore(store)));
      const startedAtMs = performance.now();
      await expect(runScript(store, COUNT, ['{t}:n', '{t}:op'], [])).rejects.toMatchObject({
        reason: 'STORE_UNAVAILABLE',
      });
      // It waits for no answer.
      expect(performance.now() - startedAtMs).toBeLessThan(PATIENCE_MS / 2);
    }));

  test('a wrong script is our fault and not the store’s', () =>
    withRedis(async (store) => {
      await expect(runScript(store, redisScript('return nope()'), [], [])).rejects.not.toHaveProperty('reason');
    }));

  test('a server that evicts, or that a newer version wrote to, is refused', () =>
    withRedis(async (store, { url }) => {
      const open = (): Promise<Store> => openStore({ redisUrl: url, sqlitePath: '', log });
      await store.redis.config('SET', 'maxmemory', '100mb');
      await store.redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
      await expect(open()).rejects.toThrow(/noeviction/);
      await store.redis.config('SET', 'maxmemory-policy', 'noeviction');
      await store.redis.set('mesh:store:schema', 1);
      await closeStore(await open());
      expect(await store.redis.get('mesh:store:schema')).toBe('2');
      await store.redis.set('mesh:store:schema', 3);
      await expect(open()).rejects.toBeInstanceOf(ConfigError);
    }));

  test('no server at the start is a temporary failure', async () => {
    await expect(openStore({ redisUrl: 'redis://127.0.0.1:1', sqlitePath: '', log })).rejects.toMatchObject({
      reason: 'STORE_UNAVAILABLE',
    });
  });
});
