import type { WorkerPool } from './worker-pool.ts';
import type { WorkerMetrics } from './worker-process.ts';

/** What a process is to others that share its public port. */
export interface WorkerResources {
  /** Processes that serve callers for this one: started before engines are announced, stopped with its own work. */
  readonly workers?: WorkerPool;
  /** Set in such a process. */
  readonly asWorker?: {
    /** Where nodes reach its router: the public port leads to any of them. */
    readonly internal: { readonly host: string; readonly port: number };
    /** Whether all workers have been ready once. */
    readonly isComplete: () => boolean;
    /** What it tells the others of what it counts. */
    readonly metrics: WorkerMetrics;
  };
}
