import type { SQLOutputValue } from 'node:sqlite';
import type { Outcome, Task, TokenUsage } from '../task.ts';
import type { TaskEvent } from './task-store.ts';

/** A row of tasks_tasks without what may be long: `work` and `result`. */
export interface TaskRow {
  readonly seq: number;
  readonly task_id: string;
  readonly owner: string;
  readonly end_user: string;
  readonly state: 'queued' | 'delayed' | 'processing' | 'completed' | 'failed';
  readonly organization: string;
  readonly priority: number;
  readonly tag: number;
  readonly attempt: number;
  readonly consumed_attempts: number;
  readonly ended_attempt: number;
  readonly last_event: number;
  readonly deltas: number;
  readonly submitted_at_ms: number;
  readonly started_at_ms: number | null;
  readonly ended_at_ms: number | null;
  readonly expires_at_ms: number | null;
  readonly failure_type: string | null;
  readonly failure_message: string | null;
  readonly prompt_tokens: number | null;
  readonly completion_tokens: number | null;
}

/** The columns of a TaskRow. */
export const ROW_COLUMNS = `seq, task_id, owner, end_user, state, organization, priority, tag, attempt, consumed_attempts,
  ended_attempt, last_event, deltas, submitted_at_ms, started_at_ms, ended_at_ms, expires_at_ms, failure_type,
  failure_message, prompt_tokens, completion_tokens`;

/** Whether it is in the queue, at once or later. */
export function isWaiting({ state }: TaskRow): boolean {
  return state === 'queued' || state === 'delayed';
}

/** Whether it has an outcome. */
export function hasEnded({ state }: TaskRow): boolean {
  return state === 'completed' || state === 'failed';
}

/** The row → the task. `result` is the text of a completed one. */
export function taskOf(row: TaskRow, position: number, result: string): Task {
  return {
    taskId: row.task_id,
    owner: row.owner,
    state: row.state === 'delayed' ? 'queued' : row.state,
    position,
    attempt: row.attempt,
    endUser: row.end_user,
    submittedAtMs: row.submitted_at_ms,
    startedAtMs: row.started_at_ms ?? undefined,
    endedAtMs: row.ended_at_ms ?? undefined,
    expiresAtMs: row.expires_at_ms ?? undefined,
    outcome: outcomeOf(row, result),
  };
}

function outcomeOf(row: TaskRow, result: string): Outcome | undefined {
  const usage = usageOf(row);
  if (row.state === 'completed') {
    return { state: 'completed', result, usage: usage ?? { promptTokens: 0, completionTokens: 0 } };
  }
  if (row.state !== 'failed') return undefined;
  return { state: 'failed', failure: { type: row.failure_type ?? '', message: row.failure_message ?? '' }, usage };
}

function usageOf({ prompt_tokens, completion_tokens }: TaskRow): TokenUsage | undefined {
  if (prompt_tokens === null || completion_tokens === null) return undefined;
  return { promptTokens: prompt_tokens, completionTokens: completion_tokens };
}

/** A row of tasks_events → the event. */
export function eventOf({ event_id, kind, value }: Record<string, SQLOutputValue>): TaskEvent {
  const eventId = Number(event_id);
  if (kind === 'delta') return { eventId, kind, text: String(value) };
  if (kind === 'processing') return { eventId, kind, attempt: Number(value) };
  return { eventId, kind: kind === 'queued' ? 'queued' : 'ended' };
}
