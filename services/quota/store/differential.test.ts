import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasRedis, startRedis } from '../../../test/harness/redis.ts';
import { closeStore, openStore } from '../../shared/store/store.ts';
import { type Sequence, sequenceFrom } from './differential-sequences.ts';
import type { QuotaStore } from './quota-store.ts';
import { createRedisQuotaStore } from './redis-quota-store.ts';
import { createSqliteQuotaStore } from './sqlite-quota-store.ts';

/** Random sequences of operations, each some 30 long. `npm run test:differential` makes 100,000. */
const SEQUENCES = Number(process.env.DIFFERENTIAL_SEQUENCES ?? 2_000);

/** The seed of the first one, so that a sequence that failed can be run alone. */
const FIRST_SEED = Number(process.env.DIFFERENTIAL_SEED ?? 1);

/** Sequences after which both begin anew: what ended is forgotten by the clock of the server, which is not that of the test. */
const SEQUENCES_PER_STORE = 500;

interface Pair {
  readonly embedded: QuotaStore;
  readonly shared: QuotaStore;
  close(): Promise<void>;
}

describe.skipIf(!hasRedis())('SQLite, which uses the pure core, and the Lua scripts', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-differential-'));
  const log = pino({ level: 'silent' });
  let redis: Awaited<ReturnType<typeof startRedis>>;
  let nowMs = 0;

  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(async () => {
    await redis.server.stop('SIGKILL');
    rmSync(directory, { recursive: true });
  });

  async function openPair(name: string): Promise<Pair> {
    const shared = await openStore({ redisUrl: redis.url, sqlitePath: '', log, commandTimeoutMs: 60_000 });
    const embedded = await openStore({ sqlitePath: join(directory, `${name}.db`), log });
    if (shared.kind !== 'redis' || embedded.kind !== 'sqlite') throw new Error('wrong drivers');
    await shared.redis.flushall();
    const now = (): number => nowMs;
    return {
      embedded: createSqliteQuotaStore(embedded, now),
      shared: createRedisQuotaStore(shared, now),
      async close() {
        await Promise.all([closeStore(shared), closeStore(embedded)]);
      },
    };
  }

  const isAlone = /^(sweep|usage)/;
  const known = new Set<string>();

  /** Makes all operations on both and compares every answer; counts the kinds of answers. */
  async function compare({ operations }: Sequence, pair: Pair, seen: Map<string, number>, seed: number): Promise<void> {
    const told: Promise<unknown>[] = [];
    const expected: unknown[] = [];
    for (const operation of operations) {
      nowMs = operation.nowMs;
      // In the order in which they are made, the server gets them; nobody waits for its answers meanwhile.
      const answer = operation.run(pair.shared);
      answer.catch(() => {});
      told.push(answer);
      expected.push(await operation.run(pair.embedded));
      // Those of several commands, and scripts that the server may not know yet, would be overtaken by the next.
      if (isAlone.test(operation.text) || !known.has(operation.text.split(' ')[0] ?? '')) await answer;
      known.add(operation.text.split(' ')[0] ?? '');
    }
    const actual = await Promise.all(told);
    for (const [i, answer] of expected.entries()) {
      const { kind } = (answer ?? {}) as { kind?: string };
      const name = `${operations[i]?.text.split(' ')[0]} ${kind ?? ''}`;
      seen.set(name, (seen.get(name) ?? 0) + 1);
      const history = (): string =>
        operations
          .slice(0, i + 1)
          .map(({ nowMs: at, text }, n) => `${at} ${text} → ${JSON.stringify(expected[n])}`)
          .join('\n');
      if (JSON.stringify(answer) !== JSON.stringify(actual[i])) {
        expect(actual[i], `seed ${seed}\n${history()}`).toEqual(answer);
      }
    }
  }

  test(`answer ${SEQUENCES} random sequences of operations alike`, { timeout: 3_600_000 }, async () => {
    const seen = new Map<string, number>();
    let pair: Pair | undefined;
    for (let i = 0; i < SEQUENCES; i += 1) {
      if (i % SEQUENCES_PER_STORE === 0) {
        await pair?.close();
        pair = await openPair(String(i));
      }
      if (!pair) throw new Error('opened above');
      await compare(
        sequenceFrom(FIRST_SEED + i, () => 0),
        pair,
        seen,
        FIRST_SEED + i,
      );
    }
    await pair?.close();
    if (SEQUENCES >= 1_000) {
      // The sequences reach every answer often enough to mean something.
      for (const answer of ANSWERS) expect(seen.get(answer) ?? 0, answer).toBeGreaterThan(SEQUENCES / 50);
    }
  });
});

const ANSWERS = [
  ...['reserve admitted', 'reserve refused', 'reserve taken', 'reserve ended', 'reserve stale'],
  ...['extend held', 'extend ended', 'extend unknown', 'settle done', 'settle ended', 'settle unknown'],
  ...['release done', 'release ended', 'release unknown'],
];
