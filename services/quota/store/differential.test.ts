import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasRedis, startRedis } from '../../../test/harness/redis.ts';
import { closeStore, openStore } from '../../shared/store/store.ts';
import { type Sequence, sequenceFrom } from './differential.fixture.ts';
import type { QuotaStore } from './quota-store.ts';
import { createRedisQuotaStore } from './redis-quota-store.ts';
import { createSqliteQuotaStore } from './sqlite-quota-store.ts';

/** Random sequences of operations, each some 30 long. `npm run test:differential` makes 100,000. */
const SEQUENCES = Number(process.env.DIFFERENTIAL_SEQUENCES ?? 1_000);

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

  const known = new Set<string>();

  /** The answers of both, in the order of the operations. */
  async function answers({ operations }: Sequence, { embedded, shared }: Pair): Promise<[unknown[], unknown[]]> {
    const [expected, told]: [unknown[], Promise<unknown>[]] = [[], []];
    for (const { nowMs: at, text, run } of operations) {
      nowMs = at;
      const answer = run(shared);
      answer.catch(() => {});
      told.push(answer);
      expected.push(await run(embedded));
      // The server gets operations in their order without anybody's waiting for its answers; but those of several commands,
      // and scripts that it may not know yet, would be overtaken by the next.
      const name = nameOf(text);
      if (SEVERAL_COMMANDS.has(name) || !known.has(name)) await answer;
      known.add(name);
    }
    return [expected, await Promise.all(told)];
  }

  test(`answer ${SEQUENCES} random sequences of operations alike`, { timeout: 3_600_000 }, async () => {
    const seen = new Map<string, number>();
    let pair: Pair | undefined;
    let version = 0;
    for (let i = 0; i < SEQUENCES; i += 1) {
      if (!pair || i % SEQUENCES_PER_STORE === 0) {
        await pair?.close();
        pair = await openPair(String(i));
        version = 0;
      }
      const sequence = sequenceFrom(FIRST_SEED + i, version);
      const [expected, actual] = await answers(sequence, pair);
      for (const [n, answer] of expected.entries()) {
        count(seen, sequence, n, answer);
        if (!isDeepStrictEqual(actual[n], answer)) {
          expect(actual[n], `seed ${FIRST_SEED + i}\n${history(sequence, expected, n)}`).toEqual(answer);
        }
      }
      version = sequence.version;
    }
    await pair?.close();
    // The sequences reach every answer often enough to mean something.
    if (SEQUENCES < 1_000) return;
    for (const answer of ANSWERS) expect(seen.get(answer) ?? 0, answer).toBeGreaterThan(SEQUENCES / 50);
  });
});

const SEVERAL_COMMANDS: ReadonlySet<string> = new Set(['sweep', 'usage', 'held', 'set', 'subjects']);

const ANSWERS = [
  ...['reserve admitted', 'reserve refused', 'reserve taken', 'reserve ended', 'reserve stale'],
  ...['extend held', 'extend ended', 'extend unknown', 'settle done', 'settle ended', 'settle unknown'],
  ...['release done', 'release ended', 'release unknown', 'set version'],
];

function nameOf(text: string): string {
  return text.split(' ')[0] ?? '';
}

function count(seen: Map<string, number>, { operations }: Sequence, n: number, answer: unknown): void {
  const { kind = '' } = (answer ?? {}) as { kind?: string };
  const name = `${nameOf(operations[n]?.text ?? '')} ${kind}`;
  seen.set(name, (seen.get(name) ?? 0) + 1);
}

function history({ operations }: Sequence, answers: readonly unknown[], last: number): string {
  const lines = operations.map(({ nowMs, text }, n) => `${nowMs} ${text} → ${JSON.stringify(answers[n])}`);
  return lines.slice(0, last + 1).join('\n');
}
