import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { type Task as TaskMessage, TaskSchema, TaskState } from '../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import type { Outcome, Task } from './task.ts';

const STATES: Readonly<Record<Task['state'], TaskState>> = {
  queued: TaskState.QUEUED,
  processing: TaskState.PROCESSING,
  completed: TaskState.COMPLETED,
  failed: TaskState.FAILED,
};

/** The task as the contract has it. */
export function taskMessage(task: Task): TaskMessage {
  const { taskId, position, attempt, endUser, outcome } = task;
  return create(TaskSchema, {
    ...{ taskId, position, attempt, endUser, state: STATES[task.state] },
    submittedAt: timestampFromMs(task.submittedAtMs),
    ...(task.startedAtMs === undefined ? {} : { startedAt: timestampFromMs(task.startedAtMs) }),
    ...(task.endedAtMs === undefined ? {} : { endedAt: timestampFromMs(task.endedAtMs) }),
    ...(task.expiresAtMs === undefined ? {} : { expiresAt: timestampFromMs(task.expiresAtMs) }),
    ...(outcome ? outcomeFields(outcome) : {}),
  });
}

function outcomeFields(outcome: Outcome): MessageInitShape<typeof TaskSchema> {
  const usage = outcome.usage ? { usage: outcome.usage } : {};
  return outcome.state === 'completed' ? { result: outcome.result, ...usage } : { failure: outcome.failure, ...usage };
}
