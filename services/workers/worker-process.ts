import cluster from 'node:cluster';
import type { Assignment, FromWorker, ToWorker } from './messages.ts';

/** A worker's side of its pool. */
export interface WorkerProcess<C> {
  readonly assignment: Assignment<C>;
  /** Whether all workers have been ready once. */
  isComplete(): boolean;
  /** Says that requests are taken at the address. */
  ready(url: string): void;
}

/** Whether this process is a worker of another one. */
export const isWorker = cluster.isWorker;

/**
 * Asks for what this worker is to run. When the process that started it is gone, this one ends at once: `node:cluster` sees
 * to that.
 *
 * @param stop is called when the pool wants this process to end, more than once perhaps
 */
export async function joinPool<C>(stop: () => void): Promise<WorkerProcess<C>> {
  const { worker } = cluster;
  if (!worker) throw new Error('this process is no worker');
  const tell = (message: FromWorker): void => void worker.send(message, () => {});
  let isComplete = false;
  const { promise, resolve } = Promise.withResolvers<Assignment<C>>();
  worker.on('message', (message: ToWorker<C>) => {
    if (message.type === 'assignment') {
      isComplete = message.isComplete;
      resolve(message);
    } else if (message.type === 'complete') isComplete = true;
    else stop();
  });
  tell({ type: 'hello' });
  return { assignment: await promise, isComplete: () => isComplete, ready: (url) => tell({ type: 'ready', url }) };
}
