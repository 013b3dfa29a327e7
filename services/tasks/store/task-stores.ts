import type { Store } from '../../shared/store/store.ts';
import { createRedisTaskStore } from './redis-task-store.ts';
import { createSqliteTaskStore } from './sqlite-task-store.ts';
import type { TaskStore, TaskStoreOptions } from './task-store.ts';

/**
 * Tasks in the store of the process.
 *
 * @throws ConfigError when the store was written by a newer version.
 */
export function createTaskStore(store: Store, options: TaskStoreOptions): TaskStore {
  return store.kind === 'sqlite' ? createSqliteTaskStore(store, options) : createRedisTaskStore(store, options);
}
