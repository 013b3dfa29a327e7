import { type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt';
import { z } from 'zod';
import { type Task, TaskState, type WatchResponse } from '../../../gen/mesh/tasks/v1/tasks_service_pb.ts';

/** Where a task is, in the words of the route. */
export type Status = 'queued' | 'processing' | 'completed' | 'failed';

const STATUS: Partial<Readonly<Record<TaskState, Status>>> = {
  [TaskState.QUEUED]: 'queued',
  [TaskState.PROCESSING]: 'processing',
  [TaskState.COMPLETED]: 'completed',
  [TaskState.FAILED]: 'failed',
};

const MESSAGES: Readonly<Record<Status, string>> = {
  queued: 'Your request is waiting in the queue.',
  processing: 'Your request is being processed.',
  completed: 'Your request has been completed. Get it from /result/{task_id}.',
  failed: 'Your request has failed. /result/{task_id} says why.',
};

const taskId = z.string().describe('Names the task.');
const message = z.string().describe('For people.');

/** The answer of `POST /generate`. */
export const acceptedSchema = z.object({ status: z.literal('queued'), task_id: taskId, message });

/** The answers of `GET /status/{task_id}` and of a result that is not there yet. */
export const statusSchema = z.object({
  status: z.enum(['queued', 'processing', 'completed', 'failed']),
  task_id: taskId,
  message,
  position: z.int().min(1).optional().describe('Its place in the queue, from 1; only while it is queued.'),
});

const seconds = z.number().min(0);

const metricsSchema = z.object({
  queue_wait_time: seconds.describe('From the submission to the start of the last run, in seconds.'),
  processing_time: seconds.describe('From the start of the last run to the end, in seconds.'),
  total_time: seconds.describe('From the submission to the end, in seconds.'),
  prompt_tokens: z.int().min(0),
  completion_tokens: z.int().min(0),
  tokens_per_second: seconds,
});

/** A completed result. */
export const completedSchema = z.object({
  status: z.literal('completed'),
  task_id: taskId.optional(),
  result: z.string(),
  metrics: metricsSchema,
});

/** A failed result. */
export const errorSchema = z.object({
  status: z.literal('error'),
  task_id: taskId,
  error_message: z.string(),
  error_type: z.string().describe('E.g. "Cancelled" or "TaskTimeLimitExceeded".'),
});

/** What is said of an accepted task. */
export function acceptedBody({ taskId: task_id }: Task): z.output<typeof acceptedSchema> {
  const text = 'Your request is being processed. Use the task_id to check status.';
  return { status: 'queued', task_id, message: text };
}

/** Where a task is. */
export function statusBody({ taskId: task_id, state, position }: Task): z.output<typeof statusSchema> {
  // What a later version may call it otherwise is under way.
  const status = STATUS[state] ?? 'processing';
  return { status, task_id, message: MESSAGES[status], ...(position > 0 ? { position } : {}) };
}

/** What came of a task; undefined: nothing yet. */
export function resultBody(task: Task): z.output<typeof completedSchema> | z.output<typeof errorSchema> | undefined {
  const { taskId: task_id } = task;
  if (task.state === TaskState.COMPLETED) {
    return { status: 'completed', task_id, result: task.result ?? '', metrics: metricsOf(task) };
  }
  if (task.state !== TaskState.FAILED) return undefined;
  const { type = '', message: text = '' } = task.failure ?? {};
  return { status: 'error', task_id, error_message: text, error_type: type };
}

/** An event of a task → the `data` of the event on the stream. */
export function eventBody(task_id: string, { event }: WatchResponse): object {
  if (event.case === 'delta') return { status: 'processing', delta: event.value };
  const task = event.value;
  if (!task) return { status: 'processing', delta: '' };
  if (task.state === TaskState.COMPLETED) {
    return { status: 'completed', result: task.result ?? '', metrics: metricsOf(task) };
  }
  return resultBody(task) ?? { ...statusBody(task), task_id };
}

function metricsOf({ submittedAt, startedAt, endedAt, usage }: Task): z.output<typeof metricsSchema> {
  const processing = secondsBetween(startedAt, endedAt);
  const { promptTokens = 0, completionTokens = 0 } = usage ?? {};
  return {
    queue_wait_time: secondsBetween(submittedAt, startedAt),
    processing_time: processing,
    total_time: secondsBetween(submittedAt, endedAt),
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    tokens_per_second: processing > 0 ? Number((completionTokens / processing).toFixed(3)) : 0,
  };
}

function secondsBetween(from: Timestamp | undefined, to: Timestamp | undefined): number {
  return from && to ? Math.max(0, timestampMs(to) - timestampMs(from)) / 1_000 : 0;
}
