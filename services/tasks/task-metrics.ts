import { Gauge, type Registry } from 'prom-client';
import type { Worker } from './worker.ts';

/** Declares what is told of the tasks of this process. */
export function declareTaskMetrics(registry: Registry, worker: Pick<Worker, 'running'>): void {
  new Gauge({
    name: 'mesh_tasks_running',
    help: 'Tasks that this process runs now.',
    registers: [registry],
    collect() {
      this.set(worker.running);
    },
  });
}
