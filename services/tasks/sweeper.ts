import type { Logger } from 'pino';
import type { TaskStore } from './store/task-store.ts';

/** How often tasks that lost their worker, and those past their time, are looked for, in milliseconds. */
const SWEEP_EVERY_MS = 1_000;

/** Sweeps every second, until nothing is left. Returns what stops it. */
export function sweepRegularly(store: TaskStore, log: Logger): () => Promise<void> {
  let running: Promise<void> | undefined;
  let isStopped = false;
  const sweep = async (): Promise<void> => {
    // More may end in a second than one step takes; others have their turn between two steps.
    while (!isStopped && (await store.sweep()));
  };
  const timer = setInterval(() => {
    running ??= sweep()
      // The next one does the work of this one too.
      .catch((error: unknown) => log.warn({ err: error }, 'sweep of tasks failed'))
      .finally(() => {
        running = undefined;
      });
  }, SWEEP_EVERY_MS);
  timer.unref();
  return async () => {
    isStopped = true;
    clearInterval(timer);
    await running;
  };
}
