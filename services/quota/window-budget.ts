/**
 * At most `maximum` in any window of `steps` steps. What was spent is counted per step, over one step more: a window may
 * begin in the midst of its first step, which then counts whole. So the limit is never exceeded and frees at most one step
 * late.
 */
export interface WindowRule {
  readonly kind: 'window';
  /** Below 2^32. */
  readonly maximum: number;
  /** Length of one step in milliseconds. */
  readonly stepMs: number;
  readonly steps: number;
}

/** What was taken from a window. */
export interface WindowState {
  readonly kind: 'window';
  readonly held: number;
  /** Number of the latest step, counted from the epoch. */
  readonly newestStep: number;
  /** Spent per step, the latest first; one more than the rule has steps. */
  readonly counts: readonly number[];
}

/**
 * The state as it stands at `nowMs`. After a clock went back the counts stay as they are and age from there: nothing is
 * freed, nobody is locked out.
 */
export function stateAt(rule: WindowRule, kept: WindowState | undefined, nowMs: number): WindowState {
  const nowStep = Math.floor(nowMs / rule.stepMs);
  if (!kept) return { kind: 'window', held: 0, newestStep: nowStep, counts: new Array<number>(rule.steps + 1).fill(0) };
  const shift = nowStep - kept.newestStep;
  if (shift <= 0) return { ...kept, newestStep: nowStep };
  const counts = new Array<number>(rule.steps + 1).fill(0);
  for (let age = shift; age <= rule.steps; age += 1) counts[age] = kept.counts[age - shift] ?? 0;
  return { ...kept, newestStep: nowStep, counts };
}

/** What still counts. */
export function spentOf({ counts }: WindowState): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}

/** The state after `amount` more was spent. */
export function spend(state: WindowState, amount: number): WindowState {
  const counts = state.counts.slice();
  counts[0] = (counts[0] ?? 0) + amount;
  return { ...state, counts };
}

/** The state without `amount` of what was spent at `spentAtMs`. */
export function giveBack(rule: WindowRule, state: WindowState, amount: number, spentAtMs: number): WindowState {
  const age = state.newestStep - Math.floor(spentAtMs / rule.stepMs);
  const count = state.counts[age] ?? 0;
  if (count === 0) return state;
  const counts = state.counts.slice();
  counts[age] = Math.max(0, count - amount);
  return { ...state, counts };
}

/** Until `amount` of what was spent no longer counts, the oldest first. */
export function freeAfterMs(rule: WindowRule, state: WindowState, amount: number, nowMs: number): number {
  let age = rule.steps + 1;
  for (let left = amount; left > 0 && age > 0; ) {
    age -= 1;
    left -= state.counts[age] ?? 0;
  }
  return (state.newestStep - age + rule.steps + 1) * rule.stepMs - nowMs;
}
