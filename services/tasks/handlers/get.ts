import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import { GetResponseSchema, type TasksService } from '../../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import type { TasksContext } from '../context.ts';
import { taskMessage } from '../task-message.ts';
import { visibleTask } from './visible-task.ts';

/** A task as it is. */
export function get({ store }: TasksContext): MethodImpl<typeof TasksService.method.get> {
  return async ({ taskId }, call) =>
    create(GetResponseSchema, { task: taskMessage(await visibleTask(store, taskId, call)) });
}
