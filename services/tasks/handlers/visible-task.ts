import type { HandlerContext } from '@connectrpc/connect';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import { ownerOf } from '../owner.ts';
import type { TaskStore } from '../store/task-store.ts';
import type { Task } from '../task.ts';

/**
 * A task of the caller. To anybody else it does not exist.
 *
 * @throws MeshError NOT_FOUND or STORE_UNAVAILABLE.
 */
export async function visibleTask(store: TaskStore, taskId: string, call: HandlerContext): Promise<Task> {
  const task = await store.find(taskId);
  if (!task || task.owner !== ownerOf(principalOf(call))) throw unknownTask();
  return task;
}

/** What is said of a task that is not there, or not the caller's, or forgotten. */
export function unknownTask(): MeshError {
  return new MeshError('NOT_FOUND', 'Task not found', { metadata: { kind: 'task' } });
}
