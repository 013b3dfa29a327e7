import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { closeStore, openStore, type Store } from '../../services/shared/store/store.ts';
import type { Submission, TaskStore } from '../../services/tasks/store/task-store.ts';
import { createTaskStore } from '../../services/tasks/store/task-stores.ts';
import { startDurableRedis } from '../../test/harness/redis.ts';

/** A store that is measured. */
export interface TasksSubject {
  readonly name: 'SQLite' | 'Redis';
  /** The least that a call costs at all: an empty transaction, or a PING. */
  readonly bareCall: () => Promise<unknown>;
  /** Submits one task: of one of a hundred organisations, with an idempotency key and a work of 1 KB. */
  readonly submit: () => Promise<void>;
  /** Submits or cancels until so many wait. */
  fill(waiting: number): Promise<void>;
  /** What the server used since it began, in microseconds; 0 for a store without one. */
  serverCpuUs(): Promise<number>;
  close(): Promise<void>;
}

const log = pino({ level: 'silent' });
const OPTIONS = { resultTtlMs: 3_600_000, maxAttempts: 3, ageingMs: 600_000 };
const WORK = Buffer.alloc(1_024, 'work');

/** An empty file of its own. */
export async function sqliteTasks(): Promise<TasksSubject> {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-tasks-bench-'));
  const store = await openStore({ sqlitePath: join(directory, 'mesh.db'), log });
  if (store.kind !== 'sqlite') throw new Error('expected SQLite');
  return {
    ...{ name: 'SQLite', ...submitterOf(store) },
    bareCall: async () => store.transaction(() => undefined),
    serverCpuUs: async () => 0,
    async close() {
      await closeStore(store);
      rmSync(directory, { recursive: true });
    },
  };
}

/** A server of its own that writes to disk before it answers. */
export async function redisTasks(): Promise<TasksSubject> {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-tasks-bench-'));
  const { url, server } = await startDurableRedis(directory);
  const store = await openStore({ redisUrl: url, sqlitePath: '', commandTimeoutMs: 60_000, log });
  if (store.kind !== 'redis') throw new Error('expected Redis');
  return {
    ...{ name: 'Redis', ...submitterOf(store) },
    bareCall: () => store.redis.ping(),
    async serverCpuUs() {
      const info = await store.redis.info('cpu');
      const seconds = (name: string): number => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1] ?? 0);
      return (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1e6;
    },
    async close() {
      await closeStore(store);
      await server.stop('SIGKILL');
      rmSync(directory, { recursive: true });
    },
  };
}

function submitterOf(store: Store): Pick<TasksSubject, 'submit' | 'fill'> {
  const tasks: TaskStore = createTaskStore(store, OPTIONS);
  const waiting: Submission[] = [];
  let submitted = 0;
  async function submit(): Promise<void> {
    const taskId = randomUUID();
    const organization = `org-${submitted % 100}`;
    submitted += 1;
    const named = { taskId, owner: organization, organization, idempotencyKey: taskId, fingerprint: 'f', endUser: '' };
    const submission = { ...named, priority: submitted % 3, cost: 100 + (submitted % 900), work: WORK };
    waiting.push(submission);
    if ((await tasks.submit(submission)).kind !== 'accepted') throw new Error('a task was not accepted');
  }
  return {
    submit,
    async fill(wanted) {
      while (waiting.length < wanted) {
        await Promise.all(Array.from({ length: Math.min(256, wanted - waiting.length) }, submit));
      }
      while (waiting.length > wanted) {
        const some = waiting.splice(wanted, 256);
        await Promise.all(some.map(({ taskId, owner }) => tasks.cancel(taskId, owner)));
      }
    },
  };
}
