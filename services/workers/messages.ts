import type { MetricFamilies } from '../shared/observability/gathered-metrics.ts';

/** What a worker is told when it asks for work. */
export interface Assignment<C> {
  readonly type: 'assignment';
  /** The worker's own configuration. */
  readonly config: C;
  /** Where nodes reach the worker's router. */
  readonly internal: { readonly host: string; readonly port: number };
  /** Whether all workers have been ready once. */
  readonly isComplete: boolean;
}

/** What a worker hears from the process that started it. */
export type ToWorker<C> =
  | Assignment<C>
  | { readonly type: 'complete' }
  | { readonly type: 'stop' }
  | { readonly type: 'tell metrics' }
  /** Of this mesh as a whole, for those who asked the worker; unset: they could not be gathered. */
  | { readonly type: 'all metrics'; readonly text: string | undefined };

/**
 * What a worker says: that it listens to messages, then that it takes requests, at the address that all workers share. Later what it
 * has counted, and that somebody wants to know what all have.
 */
export type FromWorker =
  | { readonly type: 'hello' }
  | { readonly type: 'ready'; readonly url: string }
  | { readonly type: 'metrics'; readonly families: MetricFamilies }
  | { readonly type: 'metrics wanted' };
