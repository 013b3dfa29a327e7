import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasRedis, startRedis } from '../../../test/harness/redis.ts';
import type { RedisStore } from '../../shared/store/redis.ts';
import type { SqliteStore } from '../../shared/store/sqlite.ts';
import { closeStore, openStore } from '../../shared/store/store.ts';
import { createRedisTaskStore } from './redis-task-store.ts';
import { createSqliteTaskStore } from './sqlite-task-store.ts';
import { AGEING_MS, because, done, LEASE_MS } from './task-store.fixture.ts';
import type { Claim, TaskStore } from './task-store.ts';

/** Random sequences of operations; TASKS_DIFFERENTIAL_SEQUENCES says how many. */
const SEQUENCES = Number(process.env.TASKS_DIFFERENTIAL_SEQUENCES ?? 300);

/** What they are made from, so that a sequence that failed can be run again. */
const SEED = Number(process.env.TASKS_DIFFERENTIAL_SEED ?? 1);

const TTL_MS = 5 * LEASE_MS;

/** One step: what is done, and how long after the one before, in milliseconds. Tasks and claims are named by numbers. */
type Step = readonly [waitMs: number, operation: Operation];
type Operation =
  | {
      readonly name: 'submit';
      readonly owner: number;
      readonly priority: number;
      readonly cost: number;
      readonly key: number;
    }
  | { readonly name: 'submitAgain' | 'find' | 'cancel' | 'events'; readonly task: number; readonly owner: number }
  | { readonly name: 'findByKey'; readonly owner: number; readonly key: number }
  | { readonly name: 'list'; readonly owner: number; readonly limit: number }
  | { readonly name: 'claim'; readonly most: number }
  | { readonly name: 'renew' | 'finish' | 'fail'; readonly claim: number }
  | { readonly name: 'append'; readonly claim: number; readonly again: boolean }
  | { readonly name: 'putBack'; readonly claim: number; readonly delayMs: number; readonly consumed: boolean }
  | { readonly name: 'sweep' };

const upTo = (max: number): fc.Arbitrary<number> => fc.nat({ max });
const named = <N extends string, T extends object>(name: N, rest: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record({ name: fc.constant(name), ...rest });
/** Names of tasks and of owners: few, so that most operations meet one that is there. */
const TASKS = 8;
const task = upTo(TASKS - 1);
const owner = upTo(1);
// Mostly the last ones, which may still hold.
const claim = fc.oneof({ weight: 4, arbitrary: upTo(3) }, upTo(20));

const operation = fc.oneof(
  {
    weight: 5,
    arbitrary: named('submit', {
      ...{ owner, priority: fc.integer({ min: -1, max: 1 }), cost: fc.constantFrom(1, 10, 10, 70_000), key: upTo(6) },
    }),
  },
  { weight: 5, arbitrary: named('claim', { most: upTo(3) }) },
  { weight: 3, arbitrary: named('append', { claim, again: fc.boolean() }) },
  { weight: 2, arbitrary: named('finish', { claim }) },
  { weight: 3, arbitrary: named('putBack', { claim, delayMs: fc.constantFrom(0, 1_000), consumed: fc.boolean() }) },
  ...(['submitAgain', 'find', 'cancel', 'events'] as const).map((name) => named(name, { task, owner })),
  ...(['renew', 'fail'] as const).map((name) => named(name, { claim })),
  named('findByKey', { owner, key: upTo(6) }),
  named('list', { owner, limit: fc.integer({ min: 1, max: 4 }) }),
  { weight: 2, arbitrary: fc.constant({ name: 'sweep' as const }) },
) as fc.Arbitrary<Operation>;

const waitMs = fc.oneof(
  { weight: 6, arbitrary: upTo(300) },
  fc.constantFrom(1_000, LEASE_MS - 1, LEASE_MS, LEASE_MS + 1, TTL_MS, AGEING_MS),
);
const sequences: fc.Arbitrary<Step[]> = fc.array(fc.tuple(waitMs, operation), { minLength: 20, maxLength: 60 });

/** One store, and what it was asked so far. */
class Player {
  readonly #store: TaskStore;
  readonly #claims: Claim[] = [];
  readonly #written = new Map<string, number>();

  constructor(store: TaskStore) {
    this.#store = store;
  }

  async play(step: Operation, number: number): Promise<unknown> {
    const store = this.#store;
    switch (step.name) {
      case 'submit':
        return await store.submit(submissionOf(`task-${number % TASKS}`, step));
      case 'submitAgain':
        return await store.submit(submissionOf(`task-${step.task}`, { ...step, priority: 0, cost: 1, key: 0 }));
      case 'find':
        return await store.find(`task-${step.task}`);
      case 'cancel':
        return await store.cancel(`task-${step.task}`, `owner-${step.owner}`);
      case 'events':
        return await store.events(`task-${step.task}`, step.owner, 1 + step.task, 1e9);
      case 'findByKey':
        return await store.findByKey(`owner-${step.owner}`, keyOf(step.key), fingerprintOf(step.key));
      case 'list':
        return await this.#list(`owner-${step.owner}`, step.limit);
      case 'claim': {
        const claimed = await store.claim(step.most, LEASE_MS);
        this.#claims.unshift(...claimed);
        return claimed.map(({ work, ...rest }) => ({ ...rest, work: Buffer.from(work).toString() }));
      }
      case 'renew':
        return (await store.renew(this.#claims.slice(step.claim, step.claim + 4), LEASE_MS)).map(
          ({ taskId, attempt }) => `${taskId}/${attempt}`,
        );
      case 'append':
        return await this.#append(this.#claim(step.claim), step.again);
      case 'finish':
        return await store.finish(this.#claim(step.claim), done(`result ${number}`));
      case 'fail': {
        const failure = { type: 'EngineLost', message: `failed ${number}` };
        return await store.finish(this.#claim(step.claim), { state: 'failed', failure });
      }
      case 'putBack':
        return await store.putBack(this.#claim(step.claim), because(step));
      case 'sweep':
        return await store.sweep();
    }
  }

  /** A claim that was given, counted from the last one; one that never was where there are not so many. */
  #claim(number: number): Claim {
    return this.#claims[number] ?? { taskId: 'task-1', attempt: 99 };
  }

  async #append(claim: Claim, again: boolean): Promise<boolean> {
    const name = `${claim.taskId}/${claim.attempt}`;
    const written = this.#written.get(name) ?? 0;
    const sequence = again ? Math.max(0, written - 1) : written;
    const isWritten = await this.#store.append(claim, sequence, `text ${sequence} of ${name}`);
    if (isWritten && sequence === written) this.#written.set(name, written + 1);
    return isWritten;
  }

  /** All pages. */
  async #list(owner: string, limit: number): Promise<unknown[]> {
    const pages: unknown[] = [];
    for (let after: string | undefined; ; ) {
      const { tasks, next } = await this.#store.list(owner, limit, after);
      pages.push(tasks);
      if (next === undefined) return pages;
      after = next;
    }
  }
}

const keyOf = (key: number): string => (key < 3 ? '' : `key-${key % 2}`);
// Two of the keys are used with two requests each.
const fingerprintOf = (key: number): string => `f${key % 3}`;

function submissionOf(
  taskId: string,
  { owner, priority, cost, key }: Omit<Extract<Operation, { readonly name: 'submit' }>, 'name'>,
) {
  return {
    ...{ taskId, owner: `owner-${owner}`, organization: `organization-${owner}`, priority, cost, endUser: '' },
    ...{ idempotencyKey: keyOf(key), fingerprint: fingerprintOf(key), work: Buffer.from(`work of ${taskId}`) },
  };
}

describe.skipIf(!hasRedis())('tasks in SQLite and in Redis', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-tasks-differential-'));
  const log = pino({ level: 'silent' });
  let redis: Awaited<ReturnType<typeof startRedis>>;
  let shared: RedisStore;
  let embedded: SqliteStore;
  let nowMs = 0;

  beforeAll(async () => {
    redis = await startRedis();
    const opened = await openStore({ redisUrl: redis.url, sqlitePath: '', log, commandTimeoutMs: 60_000 });
    const file = await openStore({ sqlitePath: join(directory, 'tasks.db'), log });
    if (opened.kind !== 'redis' || file.kind !== 'sqlite') throw new Error('wrong drivers');
    [shared, embedded] = [opened, file];
  });
  afterAll(async () => {
    await Promise.all([closeStore(shared), closeStore(embedded)]);
    await redis.server.stop('SIGKILL');
    rmSync(directory, { recursive: true });
  });

  /** Two stores that are empty. */
  async function players(): Promise<[Player, Player]> {
    const options = { resultTtlMs: TTL_MS, maxAttempts: 3, ageingMs: AGEING_MS, now: () => nowMs };
    await shared.redis.flushall();
    const inSqlite = createSqliteTaskStore(embedded, options);
    const tables = embedded.database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    for (const { name } of tables) {
      if (String(name).startsWith('tasks_')) embedded.database.exec(`DELETE FROM ${name}`);
    }
    return [new Player(inSqlite), new Player(createRedisTaskStore(shared, options))];
  }

  const seen = new Map<string, number>();
  function count(name: string, answer: unknown): void {
    const kind = (answer as { kind?: string } | undefined)?.kind;
    const shown = kind ?? (Array.isArray(answer) ? answer.length > 0 : typeof answer === 'object' ? true : answer);
    seen.set(`${name} ${shown}`, (seen.get(`${name} ${shown}`) ?? 0) + 1);
  }

  test(`answer ${SEQUENCES} random sequences of operations alike`, { timeout: 3_600_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(sequences, async (steps) => {
        const [inSqlite, inRedis] = await players();
        nowMs = 1_000_000;
        for (const [number, [wait, step]] of steps.entries()) {
          nowMs += wait;
          const expected = await inSqlite.play(step, number);
          expect(await inRedis.play(step, number), `step ${number}: ${JSON.stringify(step)}`).toEqual(expected);
          count(step.name, expected);
        }
        // What is left: every task, and the order of turns.
        for (let i = 0; i < TASKS; i += 1) {
          for (const name of ['find', 'events'] as const) {
            const look = { name, task: i, owner: 0 };
            expect(await inRedis.play(look, i), `${name} of task-${i}`).toEqual(await inSqlite.play(look, i));
          }
        }
        nowMs += 2 * LEASE_MS;
        for (const last of [{ name: 'sweep' }, { name: 'claim', most: 50 }] as const) {
          expect(await inRedis.play(last, 0), last.name).toEqual(await inSqlite.play(last, 0));
        }
      }),
      { numRuns: SEQUENCES, seed: SEED },
    );
    // The sequences reach every answer often enough to mean something.
    if (SEQUENCES < 300) return;
    for (const answer of ANSWERS) expect(seen.get(answer) ?? 0, answer).toBeGreaterThan(SEQUENCES / 100);
  });
});

const ANSWERS = [
  ...['submit accepted', 'submit known', 'submit conflict', 'findByKey known', 'findByKey conflict', 'find true'],
  ...['claim true', 'claim false', 'append true', 'append false', 'finish true', 'finish false', 'renew true'],
  ...['putBack true', 'putBack false', 'cancel cancelled', 'cancel ended', 'cancel unknown', 'events true'],
];
