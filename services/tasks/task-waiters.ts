import type { TaskStore } from './store/task-store.ts';

/** How long who waits goes without looking by itself, in milliseconds: news may be lost. */
const LOOK_AFTER_MS = 1_000;

/** Those who wait for news of a task. */
export class TaskWaiters {
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #stop: () => void;

  constructor(store: Pick<TaskStore, 'watch'>) {
    this.#stop = store.watch(({ taskId }) => this.#wake(taskId));
  }

  /**
   * Something to wait for, made before one looks, so that nothing that happens after the look is missed. It resolves at the next
   * news of the task, after a second without any, or when the signal aborts.
   */
  next(taskId: string, signal: AbortSignal): { readonly news: Promise<void>; leave(): void } {
    const { promise: news, resolve } = Promise.withResolvers<void>();
    const waiting = this.#waiting.get(taskId) ?? new Set();
    this.#waiting.set(taskId, waiting);
    const timer = setTimeout(resolve, LOOK_AFTER_MS);
    const onAbort = (): void => resolve();
    waiting.add(resolve);
    signal.addEventListener('abort', onAbort);
    return {
      news,
      leave: () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        waiting.delete(resolve);
        if (waiting.size === 0 && this.#waiting.get(taskId) === waiting) this.#waiting.delete(taskId);
      },
    };
  }

  /** Hears no more. */
  close(): void {
    this.#stop();
    this.#wake(undefined);
  }

  #wake(taskId: string | undefined): void {
    const sets = taskId === undefined ? [...this.#waiting.values()] : [this.#waiting.get(taskId) ?? []];
    for (const waiting of sets) for (const wake of [...waiting]) wake();
  }
}
