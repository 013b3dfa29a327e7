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
import type { Task } from '../task.ts';
import { taskMessage } from '../task-message.ts';
import { unknownTask, visibleTask } from './visible-task.ts';

/** What is read at once: so much waits in memory for a slow reader. */
const PAGE_EVENTS = 256;
const PAGE_BYTES = 128 * 1024;

/** More than any task has; a store counts no further. */
const MOST_EVENTS = 1_000_000_000n;

/** The events of a task after one that the caller has, then each new one, until the last. */
export function watch(context: TasksContext): MethodImpl<typeof TasksService.method.watch> {
  const { store } = context;
  return async function* ({ taskId, afterEventId }, call) {
    await visibleTask(store, taskId, call);
    let after = Number(afterEventId < MOST_EVENTS ? afterEventId : MOST_EVENTS);
    /** Whether the caller may have the last one already, or claims to have one that will never be. */
    let mayBeOver = after > 0;
    for (;;) {
      call.signal.throwIfAborted();
      if (context.isClosed()) throw shuttingDown();
      const events = await nextEvents(context, { taskId, after, mayBeOver }, call);
      if (!events) return;
      for (const event of events) {
        yield await told(context, taskId, event, call);
        after = event.eventId;
        if (event.kind === 'ended') return;
        mayBeOver = false;
      }
    }
  };
}

/** The events after one; none: look again, something may have happened. Undefined: there will be none. */
async function nextEvents(
  { store, waiters }: TasksContext,
  { taskId, after, mayBeOver }: { taskId: string; after: number; mayBeOver: boolean },
  call: HandlerContext,
): Promise<readonly TaskEvent[] | undefined> {
  const look = () => store.events(taskId, after, PAGE_EVENTS, PAGE_BYTES);
  const { news, leave } = waiters.next(taskId, call.signal);
  try {
    const events = await look();
    if (!events) throw unknownTask();
    if (events.length > 0) return events;
    if (mayBeOver && hasEnded(await visibleTask(store, taskId, call))) {
      // It may have ended after the look.
      const last = await look();
      return last?.length === 0 ? undefined : last;
    }
    await news;
    return [];
  } finally {
    leave();
  }
}

function hasEnded({ state }: Task): boolean {
  return state === 'completed' || state === 'failed';
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
