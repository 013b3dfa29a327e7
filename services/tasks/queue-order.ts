/**
 * Turns in the queue of tasks: self-clocked fair queueing. Every task gets a tag when it is accepted and goes in the order of
 * tags, so both a turn and a position are one look into a sorted set, however many wait. An organisation's tags grow by what its
 * tasks cost; one that has nothing waiting begins at the tag that was served last. So one that submits a hundred thousand tasks delays
 * one that submits a single one by at most one task. The Redis scripts repeat this arithmetic; one suite holds both to it.
 */

/** The tag of a new task. */
export function tagOf(
  line: { readonly servedTag: number; readonly lastTag: number | undefined },
  cost: number,
): number {
  return Math.max(line.servedTag, line.lastTag ?? 0) + Math.max(1, cost);
}

/** The first of those who wait at one priority. */
export interface Head {
  readonly priority: number;
  readonly tag: number;
  readonly submittedAtMs: number;
}

/** Whose turn it is among the heads of all priorities: the highest level first, where waiting raises; then the smaller tag. */
export function nextHead<H extends Head>(heads: readonly H[], nowMs: number, ageingMs: number): H | undefined {
  let best: H | undefined;
  let bestLevel = Number.NEGATIVE_INFINITY;
  for (const head of heads) {
    const level = head.priority + Math.max(0, Math.floor((nowMs - head.submittedAtMs) / ageingMs));
    if (best && (level < bestLevel || (level === bestLevel && head.tag >= best.tag))) continue;
    best = head;
    bestLevel = level;
  }
  return best;
}
