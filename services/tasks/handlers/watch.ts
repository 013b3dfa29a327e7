import { create } from '@bufbuild/protobuf';
import type { HandlerContext, MethodImpl } from '@connectrpc/connect';
import {
  TaskSchema,
  TaskState,
  type TasksService,
  type WatchResponse,
  WatchResponseSchema,
} from '../../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { shuttingDown } from '../../shared/errors/mesh-error.ts';
import type { TasksContext } from '../context.ts';
import type { TaskEvent } from '../store/task-store.ts';
import { taskMessage } from '../task-message.ts';
import { unknownTask, visibleTask } from './visible-task.ts';

/** What is read at once: so much waits in memory for a slow reader. */
const PAGE_EVENTS = 256;
const PAGE_BYTES = 128 * 1024;

/** The events of a task after one that the caller has, then each new one, until the last. */
export function watch(context: TasksContext): MethodImpl<typeof TasksService.method.watch> {
  const { store } = context;
  return async function* ({ taskId, afterEventId }, call) {
    await visibleTask(store, taskId, call);
    let after = Number(afterEventId);
    let hasEnded = false;
    for (;;) {
      call.signal.throwIfAborted();
      if (context.isClosed()) throw shuttingDown();
      const events = await nextEvents(context, taskId, after, hasEnded, call.signal);
      if (!events) throw unknownTask();
      for (const event of events) {
        yield await told(context, taskId, event, call);
        after = event.eventId;
        if (event.kind === 'ended') return;
      }
      if (events.length > 0) continue;
      // The caller has the last one already, or claims to have one that will never be.
      if (hasEnded) return;
      const { state } = await visibleTask(store, taskId, call);
      // It may have ended since the look: then its last event is there by now.
      hasEnded = state === 'completed' || state === 'failed';
    }
  };
}

/** The events after one; where there are none yet and more may come, those that the next news bring, which may be none. */
async function nextEvents(
  { store, waiters }: TasksContext,
  taskId: string,
  after: number,
  hasEnded: boolean,
  signal: AbortSignal,
): Promise<readonly TaskEvent[] | undefined> {
  const { news, leave } = waiters.next(taskId, signal);
  try {
    const events = await store.events(taskId, after, PAGE_EVENTS, PAGE_BYTES);
    if (events?.length !== 0 || hasEnded) return events;
    await news;
    return await store.events(taskId, after, PAGE_EVENTS, PAGE_BYTES);
  } finally {
    leave();
  }
}

async function told(
  { store }: TasksContext,
  taskId: string,
  event: TaskEvent,
  call: HandlerContext,
): Promise<WatchResponse> {
  const eventId = BigInt(event.eventId);
  switch (event.kind) {
    case 'delta':
      return create(WatchResponseSchema, { eventId, event: { case: 'delta', value: event.text } });
    case 'processing': {
      const value = create(TaskSchema, { taskId, state: TaskState.PROCESSING, attempt: event.attempt });
      return create(WatchResponseSchema, { eventId, event: { case: 'task', value } });
    }
    case 'queued': {
      const { position } = await visibleTask(store, taskId, call);
      const value = create(TaskSchema, { taskId, state: TaskState.QUEUED, position });
      return create(WatchResponseSchema, { eventId, event: { case: 'task', value } });
    }
    case 'ended': {
      const value = taskMessage(await visibleTask(store, taskId, call));
      return create(WatchResponseSchema, { eventId, event: { case: 'task', value } });
    }
  }
}
