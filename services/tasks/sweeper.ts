import type { Logger } from 'pino';
import { regularly } from '../shared/lifecycle/regularly.ts';
import type { TaskStore } from './store/task-store.ts';

/** How often tasks that lost their worker, and those past their time, are looked for, in milliseconds. */
const SWEEP_EVERY_MS = 1_000;

/** Sweeps every second. Returns what stops it. */
export function sweepRegularly(store: Pick<TaskStore, 'sweep'>, log: Logger): () => Promise<void> {
  // As many as there are: what is forgotten must keep up with what is accepted.
  const sweepAll = async (isStopped: () => boolean): Promise<void> => {
    while (!isStopped() && (await store.sweep()));
  };
  return regularly(sweepAll, SWEEP_EVERY_MS, (error) => log.warn({ err: error }, 'sweep of tasks failed'));
}
