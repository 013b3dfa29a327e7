import type { StoreStep } from './history.ts';
import type { ChargedTaskHistory, StoredTask } from './task-history.ts';

/** The lease of a run: "task_", the task, its attempt, and something that is used once. */
const RUN = /^task_([0-9a-f]+)_(\d+):/;

/**
 * Whether tasks were counted and charged as they ran; empty: they were. Pure. The rules:
 *
 * - counted: a task took one request of its key, whatever was repeated, its runs none, and what was refused none.
 * - charged: of each attempt what left its engine, once: not more than the engine made, not less than was written as events, where
 *   the owner of the lease lived; where it was killed not more.
 */
export function checkCharges({ steps, engines, stored, submissions }: ChargedTaskHistory): string[] {
  const last = new Map(steps.map((step) => [step.leaseId, step]));
  const leases = [...last.values()].filter(({ figures }) => figures.state !== 'released');
  const made = new Map(engines.map(({ requestId, madeTokens }) => [requestId, madeTokens]));
  const tasks = new Map(stored.map((task) => [task.taskId, task]));
  const problems: string[] = [];
  const counted = Map.groupBy(
    leases.filter(({ leaseId }) => !RUN.test(leaseId)),
    ({ keyId }) => keyId,
  );
  for (const [keyId, accepted = []] of Map.groupBy(submissions, (one) => one.keyId)) {
    const taken = counted.get(keyId)?.length ?? 0;
    const wanted = accepted.filter(({ taskIds }) => taskIds.length > 0).length;
    if (taken !== wanted) problems.push(`counted: ${keyId} submitted ${wanted} tasks and took ${taken} requests`);
  }
  const charged = new Map<string, number>();
  for (const lease of leases) {
    const [, taskId, attempt] = RUN.exec(lease.leaseId) ?? [];
    if (taskId === undefined) continue;
    if (lease.figures.isCounted) problems.push(`counted: the run ${lease.leaseId} took a request`);
    const requestId = `task_${taskId}_${attempt}`;
    if (lease.figures.completionTokens > 0) charged.set(requestId, (charged.get(requestId) ?? 0) + 1);
    problems.push(...chargeProblems(lease, made.get(requestId) ?? 0, tasks.get(taskId), Number(attempt)));
  }
  for (const [requestId, times] of charged)
    if (times > 1) problems.push(`charged: ${requestId} was paid ${times} times`);
  return problems;
}

function chargeProblems(
  { leaseId, figures }: StoreStep,
  madeTokens: number,
  task: StoredTask | undefined,
  attempt: number,
): string[] {
  const { completionTokens, state } = figures;
  if (completionTokens > madeTokens) return [`charged: ${leaseId} paid ${completionTokens}, ${madeTokens} were made`];
  const written = tokensOf(task?.events ?? [], attempt);
  if (state === 'settled' && completionTokens < written) {
    return [`charged: ${leaseId} paid ${completionTokens}, ${written} were written`];
  }
  return [];
}

/** How many tokens of an attempt are among the events; the engine numbers them. */
function tokensOf(events: readonly string[], attempt: number): number {
  const begin = events.indexOf(`p${attempt}`);
  if (begin < 0) return 0;
  const rest = events.slice(begin + 1);
  const end = rest.findIndex((event) => !event.startsWith('d'));
  const text = rest
    .slice(0, end < 0 ? rest.length : end)
    .map((event) => event.slice(1))
    .join('');
  return Number(/.* t(\d+)/s.exec(text)?.[1] ?? 0);
}
