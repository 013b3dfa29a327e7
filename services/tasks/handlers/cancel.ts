import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import { CancelResponseSchema, type TasksService } from '../../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import type { TasksContext } from '../context.ts';
import { ownerOf } from '../owner.ts';
import { taskMessage } from '../task-message.ts';
import { unknownTask } from './visible-task.ts';

/** Ends a task; whoever runs it hears of it within half a second. */
export function cancel({ store }: TasksContext): MethodImpl<typeof TasksService.method.cancel> {
  return async ({ taskId }, call) => {
    const cancelled = await store.cancel(taskId, ownerOf(principalOf(call)));
    if (cancelled.kind === 'unknown') throw unknownTask();
    if (cancelled.kind === 'ended') {
      throw new MeshError('CONFLICT', `The task has ended already: it has ${cancelled.task.state}.`, {
        metadata: { kind: 'task', id: taskId },
      });
    }
    return create(CancelResponseSchema, { task: taskMessage(cancelled.task) });
  };
}
