import cluster, { type Worker } from 'node:cluster';
import { createGatheredMetrics, type MetricFamilies } from '../shared/observability/gathered-metrics.ts';
import type { Metrics } from '../shared/observability/metrics.ts';
import { createChanges } from '../shared/transport/changes.ts';
import type { FromWorker, ToWorker } from './messages.ts';

/** How long a worker may take to say what it has counted, in milliseconds; then what it said last counts. */
const ANSWER_MS = 2_000;

/** The process that was started, among what is gathered; workers are counted from 1. */
const PARENT = 0;

/**
 * Makes what tells the metrics of this process and of all its workers as one, to readers here and to workers that are asked: what
 * a reader gets does not depend on the process that its connection came to.
 */
export function gatherFromWorkers(own: Metrics): () => Promise<string> {
  const gathered = createGatheredMetrics();
  const answers = createChanges();
  /** Who is asked and has not answered. */
  const asked = new Set<number>();
  let isGathering: Promise<string> | undefined;

  cluster.on('message', (worker: Worker, message: FromWorker) => {
    if (message.type === 'metrics') onAnswer(worker.id, message.families);
    else if (message.type === 'metrics wanted') void tell(worker);
  });
  cluster.on('exit', ({ id }) => {
    gathered.leave(id);
    onEnd(id);
  });

  function onAnswer(id: number, families: MetricFamilies): void {
    // One that has left said it before.
    if (cluster.workers?.[id]) gathered.take(id, families);
    onEnd(id);
  }

  function onEnd(id: number): void {
    asked.delete(id);
    answers.notify();
  }

  async function gather(): Promise<string> {
    for (const worker of Object.values(cluster.workers ?? {})) {
      if (!worker?.isConnected()) continue;
      asked.add(worker.id);
      send(worker, { type: 'tell metrics' });
    }
    gathered.take(PARENT, await own.families());
    await answers.until(() => asked.size === 0, ANSWER_MS);
    return (await gathered.text()) + (await own.addedText());
  }

  /** Those who ask while it is made share it. */
  function text(): Promise<string> {
    isGathering ??= gather().finally(() => {
      isGathering = undefined;
    });
    return isGathering;
  }

  async function tell(worker: Worker): Promise<void> {
    send(worker, { type: 'all metrics', text: await text().catch(() => undefined) });
  }

  return text;
}

/** Whoever is gone needs no answer. */
function send(worker: Worker, message: ToWorker<never>): void {
  worker.send(message, () => {});
}
