import cluster from 'node:cluster';
import type { MetricFamilies } from '../shared/observability/gathered-metrics.ts';
import type { Assignment, FromWorker, ToWorker } from './messages.ts';

/** A worker's side of its pool. */
export interface WorkerProcess<C> {
  readonly assignment: Assignment<C>;
  /** Whether all workers have been ready once. */
  isComplete(): boolean;
  /** Says that requests are taken at the address. */
  ready(url: string): void;
  readonly metrics: WorkerMetrics;
}

/** What a worker and its pool tell each other of what they count. */
export interface WorkerMetrics {
  /** Says what this worker counts, whenever the pool asks. */
  tell(families: () => Promise<MetricFamilies>): void;
  /** Those of the whole mesh, in Prometheus' text format. Rejects when they cannot be gathered. */
  all(): Promise<string>;
}

/** Longer than the process that was started waits for a worker, in milliseconds. */
const ALL_MS = 8_000;

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
  const { metrics, onMetrics } = createWorkerMetrics(tell);
  let isComplete = false;
  const { promise, resolve } = Promise.withResolvers<Assignment<C>>();
  worker.on('message', (message: ToWorker<C>) => {
    if (message.type === 'assignment') {
      isComplete = message.isComplete;
      resolve(message);
    } else if (message.type === 'complete') isComplete = true;
    else if (message.type === 'stop') stop();
    else onMetrics(message);
  });
  tell({ type: 'hello' });
  const assignment = await promise;
  return { assignment, isComplete: () => isComplete, ready: (url) => tell({ type: 'ready', url }), metrics };
}

type AboutMetrics = Extract<ToWorker<never>, { type: 'tell metrics' | 'all metrics' }>;

function createWorkerMetrics(say: (message: FromWorker) => void): {
  metrics: WorkerMetrics;
  onMetrics: (message: AboutMetrics) => void;
} {
  let families: () => Promise<MetricFamilies> = () => Promise.resolve([]);
  let wanted: PromiseWithResolvers<string> | undefined;

  function end(text: string | undefined): void {
    if (text === undefined) wanted?.reject(new Error('the metrics of all workers could not be gathered'));
    else wanted?.resolve(text);
    wanted = undefined;
  }

  return {
    metrics: {
      tell(source) {
        families = source;
      },
      all() {
        if (wanted) return wanted.promise;
        wanted = Promise.withResolvers();
        const { promise } = wanted;
        const late = setTimeout(end, ALL_MS, undefined);
        say({ type: 'metrics wanted' });
        return promise.finally(() => clearTimeout(late));
      },
    },
    onMetrics(message) {
      if (message.type === 'all metrics') end(message.text);
      else
        families().then(
          (told) => say({ type: 'metrics', families: told }),
          // What it said last counts.
          () => {},
        );
    },
  };
}
