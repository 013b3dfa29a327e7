/**
 * Limits of every unit, scope and window, low enough that a good part of the load is refused and that streams run out of
 * tokens on their way: little is held ahead.
 */
export const QUOTA = {
  reserve_window_tokens: 24,
  tiers: {
    narrow: { requests_per_minute: 120, tokens_per_minute: 2_400, concurrent_requests: 6 },
    bucket: { requests_bucket: { per_minute: 150, burst: 12 }, completion_tokens_per_minute: 1_200 },
    budget: { tokens_bucket: { per_minute: 3_000, burst: 1_200 }, prompt_tokens_per_minute: 1_500 },
    wide: { requests_per_second: 4, tokens_per_day: 40_000, concurrent_context_tokens: 3_500 },
  },
  organization_defaults: { tokens_per_hour: 60_000, requests_per_day: 100_000, tokens_per_month: 10_000_000 },
  model_defaults: { requests_per_second: 40, completion_tokens_per_hour: 1_000_000 },
  engine_defaults: { concurrent_requests: 30 },
  per_ip: { requests_per_second: 15 },
};

/** Limits for tasks: submissions are refused now and then, runs wait for tokens, and nothing waits longer than a minute. */
export const TASK_QUOTA = {
  reserve_window_tokens: 24,
  tiers: {
    narrow: { requests_bucket: { per_minute: 120, burst: 10 }, tokens_per_minute: 6_000 },
    wide: { requests_per_second: 10, concurrent_requests: 6 },
  },
};
