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
export type ToWorker<C> = Assignment<C> | { readonly type: 'complete' } | { readonly type: 'stop' };

/** What a worker says: that it listens to messages, then that it takes requests, at the address that all workers share. */
export type FromWorker = { readonly type: 'hello' } | { readonly type: 'ready'; readonly url: string };
