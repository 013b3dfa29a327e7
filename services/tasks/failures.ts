import type { Failure } from './task.ts';

/** Somebody cancelled it. */
export const CANCELLED: Failure = { type: 'Cancelled', message: 'The task was cancelled.' };

/** Its worker was not heard of any more. */
export const WORKER_LOST: Failure = {
  type: 'WorkerLost',
  message: 'The process that ran the task was lost, at every attempt. Submit it again.',
};

/** One run took longer than it may. */
export const TIME_LIMIT_EXCEEDED: Failure = {
  type: 'TaskTimeLimitExceeded',
  message: 'The task ran longer than its time limit. Ask for fewer tokens.',
};

/** What was kept of it is not what a worker of this version can run. */
export const UNREADABLE: Failure = { type: 'Internal', message: 'The task cannot be read. Submit it again.' };
