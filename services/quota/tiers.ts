import type { Rule } from './budget.ts';

/** The limits of one tier. Unset: no such limit. */
export interface Tier {
  readonly requests_per_minute?: number | undefined;
  readonly requests_per_hour?: number | undefined;
  /** A bucket instead of windows. */
  readonly bucket?: { readonly refillPerMinute: number; readonly burst: number };
}

/** The tiers that need no configuration. */
export const BUILT_IN_TIERS: Readonly<Record<string, Tier>> = {
  premium: { requests_per_minute: 100, requests_per_hour: 1_000 },
  standard: { requests_per_minute: 30, requests_per_hour: 300 },
  free: { requests_per_minute: 10, requests_per_hour: 100 },
  queue: { bucket: { refillPerMinute: 60, burst: 10 } },
  unlimited: {},
};

/** One limit on the requests of a tier. */
export interface TierRule {
  readonly rule: Rule;
  readonly period: 'minute' | 'hour' | 'bucket';
  /** As refusals name it, e.g. "30 requests per minute". */
  readonly text: string;
}

/** The rules of a tier, in the order in which a refusal names them. */
export function rulesOf(tier: Tier): TierRule[] {
  const rules: TierRule[] = [];
  const { requests_per_minute: perMinute, requests_per_hour: perHour, bucket } = tier;
  if (bucket) {
    const text = `${bucket.refillPerMinute} requests per minute`;
    rules.push({ rule: { kind: 'bucket', ...bucket }, period: 'bucket', text });
  }
  if (perMinute !== undefined) {
    const rule: Rule = { kind: 'window', maximum: perMinute, stepMs: 1_000 };
    rules.push({ rule, period: 'minute', text: `${perMinute} requests per minute` });
  }
  if (perHour !== undefined) {
    const rule: Rule = { kind: 'window', maximum: perHour, stepMs: 60_000 };
    rules.push({ rule, period: 'hour', text: `${perHour} requests per hour` });
  }
  return rules;
}
