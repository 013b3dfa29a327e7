/** Told what may have happened to a task; undefined: to any. */
export type TaskListener = (taskId: string | undefined) => void;

/** Those who wait for something to happen to tasks. */
export interface TaskListeners {
  /** Returns what ends it. */
  add(listener: TaskListener): () => void;
  tell(taskId: string | undefined): void;
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
    tell(taskId) {
      for (const listener of listeners) listener(taskId);
    },
    clear: () => listeners.clear(),
  };
}
