/** Something that happened to a task. */
export interface TaskNews {
  /** Undefined: telling was broken, so it may have been anything. */
  readonly taskId: string | undefined;
  /** Whether it waits for a worker now. */
  readonly isQueued: boolean;
}

/** Is told what happened. */
export type TaskListener = (news: TaskNews) => void;

/** Those who wait for something to happen to tasks. */
export interface TaskListeners {
  /** Returns what ends it. */
  add(listener: TaskListener): () => void;
  tell(news: TaskNews): void;
  clear(): void;
}

/** Makes an empty set of them. */
export function createTaskListeners(): TaskListeners {
  const listeners = new Set<TaskListener>();
  return {
    add(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    tell(news) {
      for (const listener of listeners) listener(news);
    },
    clear: () => listeners.clear(),
  };
}
