import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import { ListResponseSchema, type TasksService } from '../../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import type { TasksContext } from '../context.ts';
import { ownerOf } from '../owner.ts';
import { taskMessage } from '../task-message.ts';

/** The page size of a request that names none. */
const PAGE_SIZE = 100;

/** The caller's tasks, the newest first. */
export function list({ store }: TasksContext): MethodImpl<typeof TasksService.method.list> {
  return async ({ pageSize, pageToken }, call) => {
    const owner = ownerOf(principalOf(call));
    // The last task of the page before: a number of all tasks would tell how much others submit.
    if (pageToken !== '' && (await store.find(pageToken))?.owner !== owner) {
      throw invalidField('page_token', 'is not one that an earlier answer gave, or that task is over; begin anew');
    }
    const { tasks, next } = await store.list(owner, pageSize || PAGE_SIZE, pageToken || undefined);
    return create(ListResponseSchema, { tasks: tasks.map(taskMessage), nextPageToken: next ?? '' });
  };
}
