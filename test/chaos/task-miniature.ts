import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { asMeshError } from '../../services/shared/errors/connect-error.ts';
import { openRedis, type RedisStore } from '../../services/shared/store/redis.ts';
import { redisScript } from '../../services/shared/store/redis-script.ts';
import { createRedisTaskStore } from '../../services/tasks/store/redis-task-store.ts';
import type { ClaimedTask, TaskStore } from '../../services/tasks/store/task-store.ts';
import { startRedis } from '../harness/redis.ts';
import { randomFrom } from './plan.ts';
import { startReplyDropper } from './reply-dropper.ts';
import type { SubmissionRecord, TaskHistory, ToldEnd } from './task-history.ts';
import { storedTasks } from './task-store-state.ts';

/** A script of the store, and the same with a mistake in it. */
export interface Mistake {
  readonly sha1: string;
  readonly broken: string;
}

const WORKERS = 3;
const TASKS = 120;
const SUBMITTERS = 10;
const MOST_TOKENS = 8;
const LEASE_MS = 200;
/** The share of runs whose worker dies in the middle. */
const DYING = 0.1;
/** What has not ended by then never will, in milliseconds. */
const LONGEST_MS = 5_000;
const OPTIONS = { resultTtlMs: 3_600_000, maxAttempts: 1_000, ageingMs: 600_000 };

/**
 * Workers in this process on a real Redis on which replies are dropped, with engines that are functions; some are slower than
 * their lease, and do not renew it.
 */
export async function runTaskMiniature(mistake?: Mistake): Promise<TaskHistory> {
  const server = await startRedis();
  const port = Number(new URL(server.url).port);
  const droppers = await Promise.all(Array.from({ length: WORKERS }, () => startReplyDropper(port)));
  const stores = await Promise.all(droppers.map((dropper) => open(`redis://127.0.0.1:${dropper.port}`, mistake)));
  const tasks = stores.map((store) => createRedisTaskStore(store, OPTIONS));
  const random = randomFrom(1);
  const submissions: SubmissionRecord[] = [];
  const ends: ToldEnd[] = [];
  let isOver = false;
  const longest = setTimeout(() => {
    isOver = true;
  }, LONGEST_MS);

  /** Repeats an operation until its outcome is known. */
  async function insistently<T>(operation: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await operation();
      } catch (error) {
        if (isOver || asMeshError(error).reason !== 'STORE_UNAVAILABLE') throw error;
        await delay(20);
      }
    }
  }

  /** One run: its text names its attempt, as what an engine makes differs from run to run. */
  async function run(on: TaskStore, claim: ClaimedTask): Promise<void> {
    const tokens = 1 + Math.floor(random() * MOST_TOKENS);
    const slowAt = random() < 0.3 ? Math.floor(random() * tokens) : -1;
    // As one that is killed: its lease alone tells.
    const diesAt = random() < DYING ? Math.floor(random() * tokens) : -1;
    let text = '';
    for (let i = 0; i < tokens; i += 1) {
      if (i === diesAt) return;
      const token = ` ${claim.attempt}.${i}`;
      if (!(await insistently(() => on.append(claim, i, token)))) return;
      text += token;
      await delay(i === slowAt ? 2 * LEASE_MS : 1);
    }
    const usage = { promptTokens: 1, completionTokens: tokens };
    await insistently(() => on.finish(claim, { state: 'completed', result: text, usage }));
  }

  async function tellEnd(on: TaskStore, taskId: string): Promise<void> {
    for (; !isOver; await delay(10)) {
      const task = await on.find(taskId).catch(() => undefined);
      if (!task?.outcome) continue;
      ends.push({ taskId, result: task.outcome.state === 'completed' ? task.outcome.result : undefined });
      return;
    }
  }

  let sent = 0;
  async function submit(on: TaskStore, other: TaskStore): Promise<void> {
    while (sent < TASKS && !isOver) {
      const idempotencyKey = `key-${sent++}`;
      const place = { owner: 'k', organization: 'o', priority: 0, cost: 1, fingerprint: 'f', endUser: '' };
      const answer = async (by: TaskStore, name: string): Promise<string> => {
        const taskId = `${idempotencyKey}-${name}`;
        const submission = { ...place, taskId, idempotencyKey, work: Buffer.from(taskId) };
        const submitted = await insistently(() => by.submit(submission));
        if (submitted.kind === 'conflict') throw new Error('conflict');
        return submitted.task.taskId;
      };
      const taskIds = await Promise.all([answer(on, 'a'), answer(other, 'b')]);
      submissions.push({ idempotencyKey, keyId: 'k', taskIds, isCancelled: false });
      // What is told at the end is told again.
      const [taskId = ''] = taskIds;
      for (let i = 0; i < 2; i += 1) await tellEnd(on, taskId);
    }
  }

  async function work(on: TaskStore): Promise<void> {
    while (!isOver) {
      const claims = await on.claim(2, LEASE_MS).catch((): ClaimedTask[] => []);
      // What is wrong with one its lease tells.
      await Promise.allSettled([...claims].map((claim) => run(on, claim)));
      await delay(2);
    }
  }

  async function again(everyMs: number, what: () => Promise<unknown>): Promise<void> {
    for (; !isOver; await delay(everyMs)) await what().catch(() => {});
  }

  const others = [
    ...tasks.flatMap((on) => Array.from({ length: 4 }, () => work(on))),
    ...tasks.map((on) => again(15, () => on.sweep())),
    ...droppers.map((dropper) => again(150, () => dropper.dropFor(20))),
  ];
  const [first, second] = tasks as [TaskStore, TaskStore];
  await Promise.all(Array.from({ length: SUBMITTERS }, () => submit(first, second)));
  isOver = true;
  clearTimeout(longest);
  await Promise.all(others);
  const stored = await storedTasks(server.url);
  for (const { redis } of stores) redis.disconnect();
  await Promise.all(droppers.map((dropper) => dropper.close()));
  await server.server.stop('SIGKILL');
  return { submissions, ends, readers: [], stored };
}

async function open(url: string, mistake: Mistake | undefined): Promise<RedisStore> {
  if (!mistake) return await openRedis(url, pino({ level: 'silent' }), 500);
  const redis = new Redis(url, { commandTimeout: 500, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 });
  // What it says of connections that are cut concerns nobody.
  redis.on('error', () => {});
  const evalsha = redis.evalsha.bind(redis) as (...args: readonly unknown[]) => Promise<unknown>;
  const { lua } = redisScript(mistake.broken);
  const replaced = (sha1: string, ...args: readonly unknown[]): Promise<unknown> =>
    sha1 === mistake.sha1 ? redis.eval(lua, ...(args as [number, ...string[]])) : evalsha(sha1, ...args);
  Object.assign(redis, { evalsha: replaced });
  return { kind: 'redis', redis };
}
