import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { transition } from '../../services/quota/admission.ts';
import { ended } from '../../services/quota/lease.ts';
import type { QuotaStore } from '../../services/quota/store/quota-store.ts';
import { createRedisQuotaStore } from '../../services/quota/store/redis-quota-store.ts';
import { createSqliteCounters } from '../../services/quota/store/sqlite-counters.ts';
import { createSqliteQuotaStore } from '../../services/quota/store/sqlite-quota-store.ts';
import { demanded } from '../../services/quota/store/sqlite-reserve.ts';
import { closeStore, openStore, type Store } from '../../services/shared/store/store.ts';
import { startRedis } from '../../test/harness/redis.ts';
import { limitsOfCaller, requestOf } from './callers.ts';

/** A store that is measured. */
export interface Subject {
  readonly name: 'SQLite' | 'Redis';
  readonly quota: QuotaStore;
  /** The least that a call costs at all: an empty transaction, or a PING. */
  readonly bareCall: () => Promise<unknown>;
  /** The least that keeps anything: a transaction that adds one row of 600 bytes at the end of a table. Of SQLite only. */
  readonly bareWrite?: () => Promise<unknown>;
  /** Gives every one of so many callers the counters that it has after a request. */
  fill(callers: number): Promise<void>;
  /** What the server used since it began; nothing for a store without one. */
  serverUse(): Promise<ServerUse | undefined>;
  close(): Promise<void>;
}

/** CPU in microseconds, and scripts that were run. */
export interface ServerUse {
  readonly cpuUs: number;
  readonly scripts: number;
  readonly scriptUs: number;
}

/** Callers whose counters are written in one transaction. */
const FILLED_AT_ONCE = 256;

const log = pino({ level: 'silent' });

/** An empty file of its own. */
export async function sqliteSubject(): Promise<Subject> {
  const directory = mkdtempSync(join(tmpdir(), 'inference-mesh-quota-'));
  const store = await openStore({ sqlitePath: join(directory, 'mesh.db'), log });
  if (store.kind !== 'sqlite') throw new Error('expected SQLite');
  store.database.exec('CREATE TABLE bare (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)');
  const bare = store.database.prepare('INSERT INTO bare (bytes) VALUES (?)');
  const bytes = new Uint8Array(600);
  let quota = createSqliteQuotaStore(store, Date.now);
  return {
    name: 'SQLite',
    get quota() {
      return quota;
    },
    bareCall: async () => store.transaction(() => undefined),
    bareWrite: async () => store.transaction(() => bare.run(bytes)),
    async fill(callers) {
      // Past the store, as its own tables write them, and read by one that begins then.
      const counters = createSqliteCounters(store);
      const figures = demanded({ isCounted: true, promptBound: 400, maxCompletionTokens: 4_096, coveredTokens: 4_096 });
      const used = ended(figures, 'settled', { promptTokens: 300, completionTokens: 250 });
      for (let first = 0; first < callers; first += FILLED_AT_ONCE) {
        store.transaction(() => {
          counters.log.catchUp();
          for (let n = first; n < Math.min(callers, first + FILLED_AT_ONCE); n += 1) {
            const limits = limitsOfCaller(n);
            const standings = counters.standings(limits, Date.now());
            counters.keep(standings, transition(standings, undefined, used));
          }
          counters.flush(Date.now());
        });
      }
      quota = createSqliteQuotaStore(store, Date.now);
    },
    serverUse: async () => undefined,
    async close() {
      await closeStore(store);
      rmSync(directory, { recursive: true });
    },
  };
}

/** A server of its own on loopback. */
export async function redisSubject(): Promise<Subject> {
  const { url, server } = await startRedis();
  const store: Store = await openStore({ redisUrl: url, sqlitePath: '', log, commandTimeoutMs: 10_000 });
  if (store.kind !== 'redis') throw new Error('expected Redis');
  const { redis } = store;
  const quota = createRedisQuotaStore(store);
  return {
    ...{ name: 'Redis', quota },
    bareCall: () => redis.ping(),
    async fill(callers) {
      await requestOf(quota, 0, 'fill');
      const first = limitsOfCaller(0).map(({ counter }) => counter);
      const keys = (await redis.keys('mesh:quota:*')).filter((key) => first.some((counter) => key.endsWith(counter)));
      const values = await Promise.all(
        first.map((counter) => redis.getBuffer(keys.find((key) => key.endsWith(counter)) ?? '')),
      );
      const prefix = keys[0]?.slice(0, -(first.find((counter) => keys[0]?.endsWith(counter)) ?? '').length) ?? '';
      for (let n = 0; n < callers; n += 1_000) {
        const batch = redis.pipeline();
        for (let m = n; m < Math.min(callers, n + 1_000); m += 1) {
          for (const [i, { counter }] of limitsOfCaller(m).entries()) {
            const value = values[i];
            if (value) batch.set(prefix + counter, value, 'PX', 3_600_000, 'NX');
          }
        }
        await batch.exec();
      }
    },
    async serverUse() {
      const info = await redis.info('cpu', 'commandstats');
      const numberOf = (pattern: RegExp): number => Number(pattern.exec(info)?.[1] ?? 0);
      const seconds = numberOf(/used_cpu_user:([\d.]+)/) + numberOf(/used_cpu_sys:([\d.]+)/);
      return {
        cpuUs: seconds * 1e6,
        scripts: numberOf(/cmdstat_evalsha:calls=(\d+)/),
        scriptUs: numberOf(/cmdstat_evalsha:calls=\d+,usec=(\d+)/),
      };
    },
    async close() {
      await closeStore(store);
      await server.stop('SIGKILL');
    },
  };
}
