/** A bucket of `burst` that refills evenly. */
export interface BucketRule {
  readonly kind: 'bucket';
  readonly refillPerMinute: number;
  readonly burst: number;
}

/** One unit in the unit of levels: with 1/60,000 of it, a refill of 1 per minute is 1 per millisecond. */
export const BUCKET_UNITS = 60_000;

/** How full a bucket is. What is held still stands in it. */
export interface BucketState {
  readonly kind: 'bucket';
  readonly held: number;
  /** In 1/60,000 of a unit. */
  readonly level: number;
  /** When the level was computed, in milliseconds since the epoch. */
  readonly updatedAtMs: number;
}

/** The state as it stands at `nowMs`. After a clock went back it refills from there. */
export function stateAt(rule: BucketRule, kept: BucketState | undefined, nowMs: number): BucketState {
  const full = rule.burst * BUCKET_UNITS;
  if (!kept) return { kind: 'bucket', held: 0, level: full, updatedAtMs: nowMs };
  const elapsedMs = Math.max(0, nowMs - kept.updatedAtMs);
  const level = Math.min(full, kept.level + elapsedMs * rule.refillPerMinute);
  return { ...kept, level, updatedAtMs: nowMs };
}

/** What is missing to the brim, in whole units. */
export function spentOf(rule: BucketRule, state: BucketState): number {
  return rule.burst - Math.floor(state.level / BUCKET_UNITS);
}

/** The state after `amount` more was spent; negative: given back. It may stand above its brim until stateAt looks at it. */
export function spend(state: BucketState, amount: number): BucketState {
  return { ...state, level: state.level - amount * BUCKET_UNITS };
}

/** Until `amount` of what is missing is there again. */
export function freeAfterMs(rule: BucketRule, state: BucketState, amount: number): number {
  const wanted = (rule.burst - spentOf(rule, state) + amount) * BUCKET_UNITS;
  return Math.ceil((wanted - state.level) / rule.refillPerMinute);
}
