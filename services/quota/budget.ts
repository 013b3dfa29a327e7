/**
 * The arithmetic of limits: takes what was kept and the time, returns what is left and how long to wait. Nothing here
 * reads a clock or a store. `store/redis-scripts.ts` does the same in Lua; a test holds the two together. All numbers
 * are whole, so that both get the same results to the last digit.
 */

/**
 * At most `maximum` in any window of 60 steps. What was taken is counted per step, over 61 steps: a window may begin in
 * the midst of its first step, which then counts whole. So the limit is never exceeded and frees at most one step late.
 */
export interface WindowRule {
  readonly kind: 'window';
  readonly maximum: number;
  /** Length of one step in milliseconds; the window is 60 of them. */
  readonly stepMs: number;
}

/** A bucket of `burst` requests that refills evenly. */
export interface BucketRule {
  readonly kind: 'bucket';
  readonly refillPerMinute: number;
  readonly burst: number;
}

/** One rule. */
export type Rule = WindowRule | BucketRule;

/** Steps that are kept of a window. */
export const STEPS = 61;

/** What was taken from a window. */
export interface WindowState {
  readonly kind: 'window';
  /** Number of the latest step, counted from the epoch. */
  readonly newestStep: number;
  /** Taken per step, the latest first. */
  readonly counts: Uint32Array;
}

/** A request in the unit of bucket levels: with 1/60,000 of a request, a refill of 1 per minute is 1 per millisecond. */
export const BUCKET_UNITS = 60_000;

/** How full a bucket is. */
export interface BucketState {
  readonly kind: 'bucket';
  /** In 1/60,000 of a request. */
  readonly level: number;
  /** When the level was computed, in milliseconds since the epoch. */
  readonly updatedAtMs: number;
}

/** What is kept for one rule and one subject. */
export type LimitState = WindowState | BucketState;

/** How full a limit is. */
export interface LimitStatus {
  /** Requests that would be admitted now. */
  readonly remaining: number;
  /** Until all is free again if nothing more is taken. */
  readonly resetAfterMs: number;
  /** Until one more is admitted; 0: now. */
  readonly retryAfterMs: number;
}

/** The state as it stands at `nowMs`; `kept` undefined: nothing was taken lately. A clock that went back frees nothing. */
export function stateAt(rule: Rule, kept: LimitState | undefined, nowMs: number): LimitState {
  if (rule.kind === 'window') return windowAt(rule, kept?.kind === 'window' ? kept : undefined, nowMs);
  const full = rule.burst * BUCKET_UNITS;
  if (kept?.kind !== 'bucket') return { kind: 'bucket', level: full, updatedAtMs: nowMs };
  const elapsedMs = Math.max(0, nowMs - kept.updatedAtMs);
  return { kind: 'bucket', level: Math.min(full, kept.level + elapsedMs * rule.refillPerMinute), updatedAtMs: nowMs };
}

/** How full the limit is, for a state of the same moment. */
export function statusOf(rule: Rule, state: LimitState, nowMs: number): LimitStatus {
  if (rule.kind === 'window') return windowStatus(rule, state as WindowState, nowMs);
  const { level } = state as BucketState;
  return {
    remaining: Math.floor(level / BUCKET_UNITS),
    resetAfterMs: Math.ceil((rule.burst * BUCKET_UNITS - level) / rule.refillPerMinute),
    retryAfterMs: level >= BUCKET_UNITS ? 0 : Math.ceil((BUCKET_UNITS - level) / rule.refillPerMinute),
  };
}

/** The state after one request was taken. */
export function take(state: LimitState): LimitState {
  if (state.kind === 'bucket') return { ...state, level: state.level - BUCKET_UNITS };
  const counts = state.counts.slice();
  counts[0] = (counts[0] ?? 0) + 1;
  return { ...state, counts };
}

/**
 * The state after a request that was taken at `takenAtMs` was given back. Where it no longer counts nothing changes;
 * a bucket may stand above its brim until stateAt looks at it.
 */
export function giveBack(state: LimitState, stepMs: number, takenAtMs: number): LimitState {
  if (state.kind === 'bucket') return { ...state, level: state.level + BUCKET_UNITS };
  const age = state.newestStep - Math.floor(takenAtMs / stepMs);
  const count = state.counts[age] ?? 0;
  if (count === 0) return state;
  const counts = state.counts.slice();
  counts[age] = count - 1;
  return { ...state, counts };
}

function windowAt(rule: WindowRule, kept: WindowState | undefined, nowMs: number): WindowState {
  const newestStep = Math.floor(nowMs / rule.stepMs);
  const counts = new Uint32Array(STEPS);
  if (kept) {
    // After a clock went back the counts stay as they are and age from there: nothing is freed, nobody is locked out.
    const shift = Math.max(0, newestStep - kept.newestStep);
    if (shift < STEPS) counts.set(kept.counts.subarray(0, STEPS - shift), shift);
  }
  return { kind: 'window', newestStep, counts };
}

function windowStatus(rule: WindowRule, state: WindowState, nowMs: number): LimitStatus {
  let total = 0;
  let newest = STEPS;
  for (let age = STEPS - 1; age >= 0; age -= 1) {
    const count = state.counts[age] ?? 0;
    if (count > 0) newest = age;
    total += count;
  }
  const freeAfterMs = (age: number): number => (state.newestStep - age + STEPS) * rule.stepMs - nowMs;
  let oldest = STEPS;
  for (let left = total; left >= rule.maximum && oldest > 0; ) {
    oldest -= 1;
    left -= state.counts[oldest] ?? 0;
  }
  return {
    remaining: Math.max(0, rule.maximum - total),
    resetAfterMs: total === 0 ? 0 : freeAfterMs(newest),
    retryAfterMs: total < rule.maximum ? 0 : freeAfterMs(oldest),
  };
}
