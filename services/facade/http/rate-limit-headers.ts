import { durationMs } from '@bufbuild/protobuf/wkt';
import { LimitScope, type LimitState, LimitUnit, LimitWindow } from '../../../gen/mesh/quota/v1/limit_pb.ts';

/** What stands for "no such limit". */
const NO_LIMIT = '2147483647';

/** Whose limits the headers tell; those of a model or an engine are shared with strangers. */
const OWN_SCOPES: ReadonlySet<LimitScope> = new Set([
  LimitScope.TIER,
  LimitScope.KEY,
  LimitScope.USER,
  LimitScope.ORGANIZATION,
]);

/** A bucket is refilled per minute, so it is told as a limit per minute. */
const MINUTE: ReadonlySet<LimitWindow> = new Set([LimitWindow.MINUTE, LimitWindow.BUCKET]);
const HOUR: ReadonlySet<LimitWindow> = new Set([LimitWindow.HOUR]);

/** The rate-limit headers of an authenticated answer; of several limits of a kind the tightest counts. */
export function rateLimitHeaders(limits: readonly LimitState[]): Record<string, string> {
  const requests = limits.filter((state) => isOwn(state) && state.limit?.unit === LimitUnit.REQUESTS);
  const minute = tightest(requests.filter((state) => state.limit && MINUTE.has(state.limit.window)));
  const hour = tightest(requests.filter((state) => state.limit && HOUR.has(state.limit.window)));
  const anyRequests = tightest(requests.filter((state) => state.limit?.window !== LimitWindow.SECOND));
  const tokens = tightest(limits.filter((state) => isOwn(state) && isTokenUnit(state.limit?.unit)));
  return {
    'x-ratelimit-limit-minute': maximumOf(minute),
    'x-ratelimit-remaining-minute': remainingOf(minute),
    'x-ratelimit-limit-hour': maximumOf(hour),
    'x-ratelimit-remaining-hour': remainingOf(hour),
    'x-ratelimit-limit-requests': maximumOf(anyRequests),
    'x-ratelimit-remaining-requests': remainingOf(anyRequests),
    'x-ratelimit-reset-requests': resetOf(anyRequests),
    'x-ratelimit-limit-tokens': maximumOf(tokens),
    'x-ratelimit-remaining-tokens': remainingOf(tokens),
    'x-ratelimit-reset-tokens': resetOf(tokens),
  };
}

function isOwn(state: LimitState): boolean {
  return state.limit !== undefined && OWN_SCOPES.has(state.limit.scope);
}

function isTokenUnit(unit: LimitUnit | undefined): boolean {
  return unit === LimitUnit.TOKENS || unit === LimitUnit.PROMPT_TOKENS || unit === LimitUnit.COMPLETION_TOKENS;
}

function tightest(states: readonly LimitState[]): LimitState | undefined {
  let best: LimitState | undefined;
  for (const state of states) if (!best || state.remaining < best.remaining) best = state;
  return best;
}

function maximumOf(state: LimitState | undefined): string {
  return state?.limit ? String(state.limit.maximum) : NO_LIMIT;
}

function remainingOf(state: LimitState | undefined): string {
  return state ? String(state.remaining) : NO_LIMIT;
}

function resetOf(state: LimitState | undefined): string {
  return formatDuration(state?.resetAfter ? durationMs(state.resetAfter) : 0);
}

/** Milliseconds as OpenAI writes durations: "0s", "12ms", "1.5s", "6m0s", "1h0m0s". */
export function formatDuration(ms: number): string {
  if (ms <= 0) return '0s';
  if (ms < 1000) return `${Math.ceil(ms)}ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${Number(seconds.toFixed(3))}s`;
  const whole = Math.ceil(seconds);
  const minutes = Math.floor(whole / 60) % 60;
  const hours = Math.floor(whole / 3600);
  return `${hours > 0 ? `${hours}h` : ''}${minutes}m${whole % 60}s`;
}
