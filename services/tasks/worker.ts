import { randomUUID } from 'node:crypto';
import { asMeshError } from '../shared/errors/connect-error.ts';
import { createChanges } from '../shared/transport/changes.ts';
import { type RunningTask, type RunParts, runTask } from './run-task.ts';

/** What a worker needs. */
export interface WorkerParts extends RunParts {
  /** How many tasks run at once. */
  readonly concurrency: number;
  /** How long it may be silent before its tasks are another's, in milliseconds. */
  readonly leaseMs: number;
}

/** What runs tasks in this process. */
export interface Worker {
  /** How many tasks run here. */
  readonly running: number;
  /** Begins to take tasks. */
  start(): void;
  /** Takes no more, waits for what runs, at most `limitMs`, then puts the rest back. */
  drain(limitMs: number): Promise<void>;
}

/** How often it looks for tasks by itself, in milliseconds: news may be lost. */
const LOOK_EVERY_MS = 1_000;

/** How often it asks whether its tasks are still its own, in milliseconds: so soon a cancelled task is off its engine. */
const RENEW_EVERY_MS = 400;

/** For how long nothing takes the place of a task that was refused, in milliseconds: what waits is refused as well, for now. */
const REST_MS = 250;

/** How long putting back may take at the end, in milliseconds. */
const PUT_BACK_MS = 5_000;

/** Makes the worker of this process. */
export function createWorker(parts: WorkerParts): Worker {
  const { store, log, concurrency, leaseMs } = parts;
  const running = new Map<string, RunningTask>();
  const changes = createChanges();
  let resting = 0;
  /** Names a call that takes tasks, and its repetitions: one whose answer was lost has taken some. */
  let operationId = randomUUID();
  let isTaking = false;
  let isLooking = false;
  /** Whether something may wait that the look under way does not see. */
  let hasNews = false;

  const freePlaces = (): number => concurrency - running.size - resting;

  function take(): void {
    hasNews = true;
    if (isLooking || !isTaking || freePlaces() <= 0) return;
    isLooking = true;
    void look().finally(() => {
      isLooking = false;
      changes.notify();
      if (hasNews) take();
    });
  }

  async function look(): Promise<void> {
    hasNews = false;
    try {
      const claimed = await store.claim(freePlaces(), leaseMs, operationId);
      operationId = randomUUID();
      for (const claim of claimed) begin(runTask(parts, claim));
      // A store may give fewer than there are.
      if (claimed.length > 0) hasNews = true;
    } catch (error) {
      log.warn({ err: error }, 'no tasks can be taken');
    }
  }

  function begin(task: RunningTask): void {
    const key = `${task.claim.taskId}/${task.claim.attempt}`;
    running.set(key, task);
    void task.over.then((ending) => {
      running.delete(key);
      changes.notify();
      if (ending === 'refused') rest();
      else take();
    });
  }

  /** A hundred thousand tasks that nothing can run now must not be tried as fast as the store can give them out. */
  function rest(): void {
    resting += 1;
    setTimeout(() => {
      resting -= 1;
      take();
    }, REST_MS).unref();
  }

  let isRenewing = false;
  async function renew(): Promise<void> {
    if (isRenewing || running.size === 0) return;
    isRenewing = true;
    try {
      const lost = await store.renew(
        [...running.values()].map(({ claim }) => claim),
        leaseMs,
      );
      for (const { taskId, attempt } of lost) running.get(`${taskId}/${attempt}`)?.lose();
    } catch (error) {
      const { reason } = asMeshError(error);
      log.warn({ reason }, 'the leases of tasks could not be renewed');
    } finally {
      isRenewing = false;
    }
  }

  const timers: NodeJS.Timeout[] = [];
  let stopWatching: () => void = () => {};

  return {
    get running() {
      return running.size;
    },
    start() {
      isTaking = true;
      stopWatching = store.watch(({ taskId, isQueued }) => {
        if (isQueued || taskId === undefined) take();
      });
      timers.push(setInterval(take, LOOK_EVERY_MS).unref(), setInterval(() => void renew(), RENEW_EVERY_MS).unref());
      take();
    },
    async drain(limitMs) {
      isTaking = false;
      stopWatching();
      await changes.until(() => running.size === 0 && !isLooking, limitMs);
      for (const task of running.values()) task.shutDown();
      await changes.until(() => running.size === 0, PUT_BACK_MS);
      for (const timer of timers) clearInterval(timer);
    },
  };
}
