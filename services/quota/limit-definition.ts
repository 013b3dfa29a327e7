import type { Rule } from './budget.ts';
import type { Unit } from './lease.ts';

/** What limits count over time. */
export const COUNTED_UNITS = ['requests', 'tokens', 'prompt_tokens', 'completion_tokens'] as const;

/** What limits count at one moment. */
export const CONCURRENT_UNITS = ['concurrent_requests', 'concurrent_context_tokens'] as const;

/** Over which time limits count, the shortest first. */
export const PERIODS = ['second', 'minute', 'hour', 'day', 'month'] as const;

export type CountedUnit = (typeof COUNTED_UNITS)[number];
export type ConcurrentUnit = (typeof CONCURRENT_UNITS)[number];
export type Period = (typeof PERIODS)[number];

/** Over which time a limit counts; "bucket": a token bucket, "none": for concurrency. */
export type Window = Period | 'bucket' | 'none';

/** A limit without whom it is for. */
export interface LimitDefinition {
  readonly unit: Unit;
  readonly window: Window;
  readonly rule: Rule;
}

/** What is counted per step must fit into 32 bits. */
const MAX_WINDOW_MAXIMUM = 2 ** 32 - 1;

/** The largest maximum of any limit; whole numbers are exact up to here in both stores, with room for sums. */
const MAX_MAXIMUM = 1e15;

/** Larger buckets would not be exact in 1/60,000 of a unit. */
export const MAX_BUCKET = 1e9;

/** Steps of sliding windows. A shorter step frees sooner and costs more to count. */
const STEPS_OF_PERIOD = {
  second: { stepMs: 20, steps: 50 },
  minute: { stepMs: 1_000, steps: 60 },
  hour: { stepMs: 60_000, steps: 60 },
} as const;

/** A limit on what is counted over a time. */
export function periodLimit(unit: CountedUnit, period: Period, maximum: number): LimitDefinition {
  const rule: Rule =
    period === 'day' || period === 'month'
      ? { kind: 'calendar', maximum, period }
      : { kind: 'window', maximum, ...STEPS_OF_PERIOD[period] };
  return { unit, window: period, rule };
}

/** A token bucket. */
export function bucketLimit(unit: CountedUnit, refillPerMinute: number, burst: number): LimitDefinition {
  return { unit, window: 'bucket', rule: { kind: 'bucket', refillPerMinute, burst } };
}

/** A limit on what runs at once. */
export function concurrencyLimit(unit: ConcurrentUnit, maximum: number): LimitDefinition {
  return { unit, window: 'none', rule: { kind: 'concurrency', maximum } };
}

/** The largest maximum that a limit over this time may have. */
export function largestMaximum(window: Window): number {
  if (window === 'bucket') return MAX_BUCKET;
  return window === 'second' || window === 'minute' || window === 'hour' ? MAX_WINDOW_MAXIMUM : MAX_MAXIMUM;
}

/**
 * The first limit that can never be reached because one over a longer time is lower, with the one that hides it;
 * undefined: there is none.
 */
export function hiddenLimit(
  limits: readonly LimitDefinition[],
): { readonly hidden: LimitDefinition; readonly by: LimitDefinition } | undefined {
  for (const hidden of limits) {
    const by = limits.find((other) => hides(other, hidden));
    if (by) return { hidden, by };
  }
  return undefined;
}

function hides(longer: LimitDefinition, shorter: LimitDefinition): boolean {
  if (longer.unit !== shorter.unit || longer.rule.kind === 'bucket' || shorter.rule.kind === 'bucket') return false;
  const isLonger = PERIODS.indexOf(longer.window as Period) > PERIODS.indexOf(shorter.window as Period);
  return isLonger && longer.rule.maximum < shorter.rule.maximum;
}
