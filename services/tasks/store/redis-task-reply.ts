import type { Outcome, Task, TaskState } from '../task.ts';
import { TASK_FIELDS } from './redis-scripts.ts';
import type { Submitted, TaskEvent } from './task-store.ts';

/** What a script answers of a task. */
export type TaskReply = readonly (string | number | null)[];

const STATES: Readonly<Record<string, TaskState>> = {
  q: 'queued',
  d: 'queued',
  p: 'processing',
  c: 'completed',
  f: 'failed',
};

type Field = (typeof TASK_FIELDS)[number];

/** The reply → the task. */
export function taskOf(reply: TaskReply): Task {
  const text = (field: Field): string => String(reply[TASK_FIELDS.indexOf(field)] ?? '');
  const optional = (field: Field): number | undefined => (text(field) === '' ? undefined : Number(text(field)));
  const state = STATES[text('state')];
  if (!state) throw new Error(`a task has the state '${text('state')}'`);
  return {
    ...{ taskId: text('id'), owner: text('owner'), state, position: Number(reply.at(-1)) },
    ...{ attempt: Number(text('attempt')), endUser: text('endUser'), submittedAtMs: Number(text('submitted')) },
    ...{ startedAtMs: optional('started'), endedAtMs: optional('ended'), expiresAtMs: optional('expires') },
    outcome: outcomeOf(state, text, optional),
  };
}

function outcomeOf(
  state: TaskState,
  text: (field: Field) => string,
  optional: (field: Field) => number | undefined,
): Outcome | undefined {
  const promptTokens = optional('prompt');
  const completionTokens = optional('completion') ?? 0;
  const usage = promptTokens === undefined ? undefined : { promptTokens, completionTokens };
  if (state === 'completed') {
    return { state, result: text('result'), usage: usage ?? { promptTokens: 0, completionTokens: 0 } };
  }
  if (state !== 'failed') return undefined;
  return { state, failure: { type: text('failure'), message: text('message') }, usage };
}

/** An outcome → the fields of its hash, each with its value. */
export function fieldsOf(outcome: Outcome): (string | number)[] {
  const { usage } = outcome;
  const tokens = usage ? ['prompt', usage.promptTokens, 'completion', usage.completionTokens] : [];
  if (outcome.state === 'completed') return ['result', outcome.result, ...tokens];
  return ['failure', outcome.failure.type, 'message', outcome.failure.message, ...tokens];
}

/** { kind, task } → what became of a submission. */
export function submittedOf(reply: readonly [string, TaskReply?]): Submitted {
  const [kind, task] = reply;
  if (kind === 'conflict' || !task) return { kind: 'conflict' };
  return { kind: kind === 'accepted' ? 'accepted' : 'known', task: taskOf(task) };
}

/** An entry of the list of events → the event at its place. */
export function eventOf(entry: string, eventId: number): TaskEvent {
  const value = entry.slice(1);
  switch (entry[0]) {
    case 'd':
      return { eventId, kind: 'delta', text: value };
    case 'p':
      return { eventId, kind: 'processing', attempt: Number(value) };
    case 'q':
      return { eventId, kind: 'queued' };
    default:
      return { eventId, kind: 'ended' };
  }
}
