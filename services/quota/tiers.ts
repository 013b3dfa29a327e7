import type { LimitFields } from './limit-config.ts';

/** The tier whose callers have only the limits that name them: their key, user, organisation, model or engine. */
export const UNLIMITED = 'unlimited';

/** The tiers that need no configuration. */
export const BUILT_IN_TIERS: Readonly<Record<string, LimitFields>> = {
  premium: { requests_per_minute: 100, requests_per_hour: 1_000 },
  standard: { requests_per_minute: 30, requests_per_hour: 300 },
  free: { requests_per_minute: 10, requests_per_hour: 100 },
  queue: { requests_bucket: { per_minute: 60, burst: 10 } },
  [UNLIMITED]: {},
};

/** What every organisation has unless the configuration says otherwise. */
export const ORGANIZATION_DEFAULTS: LimitFields = {
  requests_per_day: 100_000,
  tokens_per_day: 10_000_000,
  tokens_per_month: 300_000_000,
};

/** What every address has unless the configuration says otherwise. */
export const PER_IP_DEFAULTS: LimitFields = { requests_per_second: 50 };
