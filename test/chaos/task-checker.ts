import type { ReadEvents, StoredTask, TaskHistory } from './task-history.ts';

/**
 * What must not have been with tasks; empty: nothing. Pure. The rules:
 *
 * - lost: what was accepted is there and has ended.
 * - ended: exactly once, with nothing after it; attempts follow each other by one.
 * - twice: one idempotency key is one task, whatever was repeated; there is no task that nobody submitted.
 * - changed: every end that a client was told is the one that is kept.
 * - text: a result is the text of the attempt that ended the task.
 * - missed: who came back with its last event got every event once.
 */
export function checkTasks(history: TaskHistory): string[] {
  const stored = new Map(history.stored.map((task) => [task.taskId, task]));
  return [
    ...lostProblems(history, stored),
    ...history.stored.flatMap((task) => lifeProblems(task)),
    ...twiceProblems(history),
    ...history.ends.flatMap(({ taskId, result }) => {
      const kept = stored.get(taskId);
      const isSame = kept?.result === result && (result === undefined) === (kept?.state === 'failed');
      return isSame ? [] : [`changed: ${taskId} was told as ${shown(result)} and is kept as ${shown(kept?.result)}`];
    }),
    ...history.readers.flatMap((reader) => readerProblems(reader, stored.get(reader.taskId))),
  ];
}

function lostProblems({ submissions }: TaskHistory, stored: ReadonlyMap<string, StoredTask>): string[] {
  return submissions.flatMap(({ taskIds: [taskId] }) => {
    const state = taskId === undefined ? 'refused' : stored.get(taskId)?.state;
    if (state === undefined) return [`lost: ${taskId} was accepted and is gone`];
    return state === 'queued' || state === 'processing' ? [`lost: ${taskId} is ${state} at the end`] : [];
  });
}

function lifeProblems({ taskId, state, attempt, result, events }: StoredTask): string[] {
  const problems: string[] = [];
  const ends = events.flatMap((event, i) => (event === 'e' ? [i] : []));
  const hasEnded = state === 'completed' || state === 'failed';
  if (ends.length !== (hasEnded ? 1 : 0)) problems.push(`ended: ${taskId} is ${state} and has ${ends.length} ends`);
  if (hasEnded && events.at(-1) !== 'e') problems.push(`ended: ${taskId} has events behind its end`);
  const attempts = events.filter((event) => event.startsWith('p')).map((event) => Number(event.slice(1)));
  if (attempts.some((number, i) => number !== i + 1) || attempts.length !== attempt) {
    problems.push(`ended: ${taskId} had ${attempt} attempts, its events tell ${attempts}`);
  }
  const text = textOfLast(events);
  if (state === 'completed' && text !== result) {
    problems.push(`text: ${taskId} has the result ${shown(result)} and the events ${shown(text)}`);
  }
  return problems;
}

function twiceProblems({ submissions, stored }: TaskHistory): string[] {
  const problems: string[] = [];
  for (const { idempotencyKey, taskIds } of submissions) {
    if (new Set(taskIds).size > 1) problems.push(`twice: ${idempotencyKey} was answered with ${[...new Set(taskIds)]}`);
  }
  const keys = new Set(submissions.map(({ idempotencyKey }) => idempotencyKey));
  for (const [key, tasks = []] of Map.groupBy(stored, ({ idempotencyKey }) => idempotencyKey)) {
    if (tasks.length > 1) problems.push(`twice: ${key} is ${tasks.length} tasks`);
    if (!keys.has(key)) problems.push(`twice: nobody submitted ${tasks[0]?.taskId}`);
  }
  return problems;
}

function readerProblems({ taskId, events }: ReadEvents, task: StoredTask | undefined): string[] {
  const ids = events.map(({ id }) => id);
  if (ids.some((id, i) => id !== i + 1)) return [`missed: a reader of ${taskId} got the events ${ids}`];
  const other = events.find(({ id, delta }) => delta !== undefined && task?.events[id - 1] !== `d${delta}`);
  if (other) return [`missed: a reader of ${taskId} got ${shown(other.delta)} as event ${other.id}`];
  return task && events.length !== task.events.length
    ? [`missed: a reader of ${taskId} got ${events.length} of ${task.events.length} events`]
    : [];
}

/** The text since the last attempt began. */
export function textOfLast(events: readonly string[]): string {
  const begin = events.findLastIndex((event) => event.startsWith('p'));
  return events
    .slice(begin + 1)
    .filter((event) => event.startsWith('d'))
    .map((event) => event.slice(1))
    .join('');
}

function shown(text: string | undefined): string {
  return text === undefined ? 'a failure' : JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}
