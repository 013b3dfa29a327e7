import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasRedis, startRedis } from '../../../test/harness/redis.ts';
import { closeStore, openStore, type Store } from '../../shared/store/store.ts';
import type { Rule } from '../budget.ts';
import type { Counted, QuotaStore } from './quota-store.ts';
import { createRedisQuotaStore } from './redis-quota-store.ts';
import { createSqliteQuotaStore } from './sqlite-quota-store.ts';

/** Random sequences of operations; each is some 25 operations long. */
const SEQUENCES = 2_000;

const RULES: readonly Rule[] = [
  { kind: 'window', maximum: 4, stepMs: 1_000 },
  { kind: 'window', maximum: 9, stepMs: 60_000 },
  { kind: 'window', maximum: 2, stepMs: 60_000 },
  { kind: 'bucket', refillPerMinute: 60, burst: 3 },
  { kind: 'bucket', refillPerMinute: 7, burst: 2 },
  { kind: 'bucket', refillPerMinute: 12_345, burst: 5 },
];

const STRIDES_MS = [
  0, 0, 1, 7, 400, 999, 1_000, 1_001, 8_571, 30_000, 59_999, 61_000, 600_001, 3_660_000, -1_500, -90_000,
];

type Random = (below: number) => number;

/** The same numbers on every run. */
function random(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe.skipIf(!hasRedis())('SQLite, which uses budget.ts, and the Lua script', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-differential-'));
  const log = pino({ level: 'silent' });
  const opened: Store[] = [];
  let redis: Awaited<ReturnType<typeof startRedis>>;
  let nowMs = 0;
  let stores: readonly QuotaStore[];

  beforeAll(async () => {
    redis = await startRedis();
    const shared = await openStore({ redisUrl: redis.url, sqlitePath: '', log });
    const embedded = await openStore({ sqlitePath: join(directory, 'q.db'), log });
    if (shared.kind !== 'redis' || embedded.kind !== 'sqlite') throw new Error('wrong drivers');
    opened.push(shared, embedded);
    const now = (): number => nowMs;
    stores = [createSqliteQuotaStore(embedded, now), createRedisQuotaStore(shared, now)];
  });
  afterAll(async () => {
    await Promise.all(opened.map(closeStore));
    await redis.server.stop('SIGKILL');
    rmSync(directory, { recursive: true });
  });

  /** One operation, described so that both stores do the same. */
  function operation(
    pick: Random,
    sequence: string,
    limits: readonly Counted[],
  ): [string, (on: QuotaStore) => Promise<unknown>] {
    const id = `${sequence}:r${pick(12)}`;
    const some = limits.filter(() => pick(3) > 0);
    const tokens = { promptTokens: pick(2), completionTokens: pick(2), engine: `e${pick(2)}` };
    switch (pick(8)) {
      case 0:
        return ['inspect', (on) => on.inspect(limits)];
      case 1:
        return [`settle ${id} ${tokens.promptTokens} ${tokens.completionTokens}`, (on) => on.settle(id, tokens)];
      case 2:
        return [`release ${id}`, (on) => on.release(id)];
      default: {
        const reservation = {
          ...{ reservationId: id, operationId: `${id}:${pick(10) === 0 ? 'other' : 'reserve'}`, model: `m${pick(2)}` },
          holder: { keyId: 'k', userId: 'u', organizationId: 'o' },
          ...{ limits: some, isCounted: pick(9) === 0, holdMs: 1 + pick(120_000) },
        };
        return [`reserve ${id} ${some.map(({ counter }) => counter).join()}`, (on) => on.reserve(reservation)];
      }
    }
  }

  test(`answer ${SEQUENCES} random sequences of operations alike`, { timeout: 120_000 }, async () => {
    const seen = { admitted: 0, refused: 0, taken: 0, done: 0, ended: 0, unknown: 0 };
    for (let seed = 1; seed <= SEQUENCES; seed += 1) {
      const pick = random(seed);
      nowMs = Date.now() + pick(100_000_000);
      const limits = RULES.filter(() => pick(2) === 0).map((rule, i) => ({ counter: `s${seed}:${i}`, rule }));
      const history: string[] = [];
      for (let step = 0; step < 25; step += 1) {
        nowMs += STRIDES_MS[pick(STRIDES_MS.length)] ?? 0;
        const [what, run] = operation(pick, `s${seed}`, limits);
        history.push(`${nowMs} ${what}`);
        const [expected, actual] = await Promise.all(stores.map(run));
        const { kind } = expected as { kind?: keyof typeof seen };
        if (kind) seen[kind] += 1;
        expect(actual, `seed ${seed}\n${history.join('\n')}`).toEqual(expected);
      }
    }
    // The sequences reach every answer often enough to mean something.
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(SEQUENCES / 20);
  });
});
