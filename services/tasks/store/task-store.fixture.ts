import { afterEach, beforeEach } from 'vitest';
import { describeStores, type TestStores } from '../../../test/harness/stores.ts';
import type { Store } from '../../shared/store/store.ts';
import type { Outcome, Task } from '../task.ts';
import type { ClaimedTask, PutBack, Submission, TaskEvent, TaskStore, TaskStoreOptions } from './task-store.ts';
import { createTaskStore } from './task-stores.ts';

/** An empty task store with a clock that the test moves. */
export interface TasksUnderTest {
  readonly stores: TestStores;
  /** Milliseconds since the epoch. */
  nowMs: number;
  tasks: TaskStore;
  /** What the test opened; closed after it. */
  readonly opened: TaskStore[];
  /** The tasks of another connection to the same state, or as a process sees them that starts anew. */
  another(options?: Partial<TaskStoreOptions>, store?: Store): Promise<TaskStore>;
  /** A submission of its own id, organisation `acme`, priority 0 and cost 10. */
  submission(changes?: Partial<Submission>): Submission;
  /** Submits it. */
  submit(changes?: Partial<Submission>): Promise<Task>;
  /** Takes the next task; fails where there is none. */
  next(leaseMs?: number): Promise<ClaimedTask>;
  /** The ids of everything that waits, in the order in which it is given out. */
  drain(): Promise<string[]>;
  /** All events of a task. */
  eventsOf(taskId: string): Promise<TaskEvent[]>;
}

/** How long a task is kept in these tests, in milliseconds. */
export const TTL_MS = 3_600_000;

/** How long a worker may be silent in these tests, in milliseconds. */
export const LEASE_MS = 10_000;

/** After how long a task rises by one priority in these tests, in milliseconds. */
export const AGEING_MS = 60_000;

/** A good end. */
export const done = (result = 'fine'): Outcome => ({
  state: 'completed',
  result,
  usage: { promptTokens: 3, completionTokens: 2 },
});

/** Why a task goes back, consumed and at once unless told. */
export const because = (changes: Partial<PutBack> = {}): PutBack => ({
  ...{ delayMs: 0, consumed: true, failure: { type: 'EngineLost', message: 'The engine was lost.' } },
  ...changes,
});

/** Runs one suite on the task stores of both drivers, each test with an empty one. */
export function describeTaskStores(name: string, suite: (on: TasksUnderTest) => void): void {
  describeStores(name, (stores) => {
    const on = tasksUnderTest(stores);
    afterEach(() => {
      for (const store of on.opened.splice(0)) store.close();
    });
    beforeEach(async () => {
      // Redis drops keys by its own clock, so the tests' clock starts there.
      on.nowMs = Date.now();
      on.tasks = await on.another({}, await stores.openEmpty());
    });
    suite(on);
  });
}

function tasksUnderTest(stores: TestStores): TasksUnderTest {
  let ids = 0;
  const on: TasksUnderTest = {
    ...{ stores, nowMs: 0, tasks: undefined as unknown as TaskStore, opened: [] },
    async another(options = {}, store) {
      const given = { resultTtlMs: TTL_MS, maxAttempts: 3, ageingMs: AGEING_MS, now: () => on.nowMs, ...options };
      const tasks = createTaskStore(store ?? (await stores.open()), given);
      on.opened.push(tasks);
      return tasks;
    },
    submission(changes = {}) {
      ids += 1;
      return {
        ...{ taskId: `task-${ids}`, owner: 'acme/ann', organization: 'acme', priority: 0, cost: 10 },
        ...{ idempotencyKey: '', fingerprint: 'f', work: Buffer.from(`work ${ids}`), endUser: '' },
        ...changes,
      };
    },
    async submit(changes) {
      const submitted = await on.tasks.submit(on.submission(changes));
      if (submitted.kind === 'conflict') throw new Error('conflict');
      return submitted.task;
    },
    async next(leaseMs = LEASE_MS) {
      const [task] = await on.tasks.claim(1, leaseMs);
      if (!task) throw new Error('nothing waits');
      return task;
    },
    async drain() {
      const order: string[] = [];
      for (;;) {
        const [task] = await on.tasks.claim(1, LEASE_MS);
        if (!task) return order;
        order.push(task.taskId);
      }
    },
    eventsOf: async (taskId) => [...((await on.tasks.events(taskId, 0, 100_000, 1e9)) ?? [])],
  };
  return on;
}
