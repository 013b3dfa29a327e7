import type { Client } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import type { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import type { Metrics } from '../shared/observability/metrics.ts';
import type { Store } from '../shared/store/store.ts';
import type { Generate } from '../shared/transport/generate.ts';
import type { TasksConfig } from './config.ts';
import { KnownModels } from './known-models.ts';
import { warnOfForgetting } from './store/redis-durability.ts';
import type { TaskStore } from './store/task-store.ts';
import { createTaskStore } from './store/task-stores.ts';
import type { SubmissionParts } from './submissions.ts';
import { sweepRegularly } from './sweeper.ts';
import { declareTaskMetrics } from './task-metrics.ts';
import { TaskWaiters } from './task-waiters.ts';
import { createWorker } from './worker.ts';

/** What tasks need from outside. */
export interface TasksResources {
  /** Stays the caller's to close. */
  readonly store: Store;
  /** Called as a process of the mesh. */
  readonly quota: Client<typeof QuotaService>;
  /** Called as a process of the mesh. */
  readonly router: Client<typeof RouterService>;
  /** The router's front door. */
  readonly generate: Generate;
  /** Milliseconds since the epoch. With Redis the server's clock decides instead. */
  readonly now: () => number;
  readonly log: Logger;
  /** Where tasks are told of. Unset: nowhere. */
  readonly metrics?: Metrics | undefined;
}

/** The tasks of this process. */
export interface TasksContext {
  readonly store: TaskStore;
  readonly submissions: SubmissionParts;
  readonly waiters: TaskWaiters;
  /** Whether this process ends: who watches goes elsewhere. */
  isClosed(): boolean;
  /** Begins to run tasks. */
  start(): void;
  /** Takes no more, waits for what runs, at most `limitMs`, then puts the rest back. */
  drain(limitMs: number): Promise<void>;
  /** Stops sweeping and ends watches. */
  close(): Promise<void>;
}

/**
 * Builds tasks.
 *
 * @throws ConfigError when the store was written by a newer version.
 */
export function createTasksContext(config: TasksConfig, resources: TasksResources): TasksContext {
  const { quota, router, now, log } = resources;
  const store = createTaskStore(resources.store, {
    // What is kept and told are whole milliseconds.
    resultTtlMs: Math.ceil(config.result_ttl_hours * 3_600_000),
    maxAttempts: config.max_attempts,
    ageingMs: Math.ceil(config.ageing_seconds * 1_000),
    now: resources.store.kind === 'sqlite' ? now : undefined,
  });
  if (resources.store.kind === 'redis') void warnOfForgetting(resources.store, log);
  const waiters = new TaskWaiters(store);
  const stopSweeping = sweepRegularly(store, log);
  const leaseMs = Math.ceil(config.lease_seconds * 1_000);
  const worker = createWorker({ ...resources, store, leaseMs, concurrency: config.concurrency });
  if (resources.metrics) declareTaskMetrics(resources.metrics.registry, worker);
  const models = new KnownModels(router);
  const timeLimitMs = Math.ceil(config.time_limit_seconds * 1_000);
  let isClosed = false;
  return {
    store,
    submissions: { store, quota, models, priorities: config.tier_priorities, timeLimitMs, now, log },
    waiters,
    isClosed: () => isClosed,
    start: () => worker.start(),
    drain: (limitMs) => worker.drain(limitMs),
    async close() {
      isClosed = true;
      waiters.close();
      await stopSweeping();
      store.close();
    },
  };
}
