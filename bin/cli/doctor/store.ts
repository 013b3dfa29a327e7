import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pino from 'pino';
import type { Config } from '../../../services/config.ts';
import { closeRedis, openRedis } from '../../../services/shared/store/redis.ts';
import { type Finding, ok, problem } from './finding.ts';

/** A start allows less; a doctor wants to know whether it is slow or away. In milliseconds. */
const REDIS_TIMEOUT_MS = 2_000;

/** A larger file is not read whole: that takes seconds for each of these. Bytes. */
const MOST_CHECKED = 1024 ** 3;

/** Whether the store answers, and would be taken by a start. */
export async function checkStore(config: Config): Promise<Finding> {
  return config.redisUrl === undefined ? checkSqlite(config.server.data_dir) : await checkRedis(config.redisUrl);
}

function checkSqlite(dataDir: string): Finding {
  const path = join(dataDir, 'mesh.db');
  if (!existsSync(path)) return ok('store', 'SQLite; made at the first start');
  try {
    using database = new DatabaseSync(path, { readOnly: true });
    const { tables } = database.prepare('SELECT count(*) AS tables FROM sqlite_master').get() as { tables: number };
    if (statSync(path).size <= MOST_CHECKED) {
      const [wrong] = database.prepare('PRAGMA quick_check(1)').all() as { quick_check: string }[];
      if (wrong?.quick_check !== 'ok') throw new Error(wrong?.quick_check.replaceAll('\n', ' '));
    }
    return ok('store', `SQLite, ${path}, ${tables} tables`);
  } catch (error) {
    const fix = 'Put back a copy of it, or move it away: a start makes a new one, without keys, users and usage.';
    return problem('store', `${path} cannot be read: ${(error as Error).message}`, fix);
  }
}

async function checkRedis(url: string): Promise<Finding> {
  try {
    const store = await openRedis(url, pino({ level: 'silent' }), REDIS_TIMEOUT_MS);
    const version = /redis_version:(\S+)/.exec(await store.redis.info('server').catch(() => ''))?.[1];
    await closeRedis(store);
    return ok('store', `Redis${version === undefined ? '' : ` ${version}`} answers`);
  } catch (error) {
    const fix = 'Look at REDIS_URL, and whether redis-server runs and lets this machine in.';
    // Its address may hold a password.
    return problem('store', `Redis: ${(error as Error).message.replaceAll(url, 'REDIS_URL')}`, fix);
  }
}
