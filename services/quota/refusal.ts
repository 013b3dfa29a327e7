import { MeshError } from '../shared/errors/mesh-error.ts';
import { type LimitStatus, NEVER_MS } from './budget.ts';
import type { Unit } from './lease.ts';
import { limitState } from './limit-message.ts';
import type { AppliedLimit } from './limits.ts';
import type { ScopeName } from './subjects.ts';

const WHAT: Readonly<Record<Unit, string>> = {
  requests: 'requests',
  prompt_tokens: 'prompt tokens',
  completion_tokens: 'completion tokens',
  tokens: 'tokens',
  concurrent_requests: 'concurrent requests',
  concurrent_context_tokens: 'tokens of concurrent context',
};

/** No names: a model or an engine has other callers, and an organisation may be more than one can see. */
const WHOSE: Readonly<Record<Exclude<ScopeName, 'tier'>, string>> = {
  key: 'this key',
  user: 'this user',
  organization: 'this organization',
  model: 'this model',
  engine: 'this engine',
  client_ip: 'this address',
};

/** What a caller is told to wait for what will never be had, in milliseconds: a day. */
const HOPELESS_MS = 86_400_000;

/** The error of a refused reservation: it names the first limit that refuses and waits for the last one. */
export function refusal(limits: readonly AppliedLimit[], statuses: readonly LimitStatus[]): MeshError {
  const waits = statuses.map(({ retryAfterMs }) => retryAfterMs);
  const first = limits[waits.findIndex((wait) => wait > 0)];
  if (!first) throw new Error('no limit refuses');
  const never = limits[waits.indexOf(NEVER_MS)];
  return new MeshError((never ?? isBudget(first)) ? 'TOKEN_BUDGET_SPENT' : 'RATE_LIMIT_EXCEEDED', text(first, never), {
    metadata: { limit: (never ?? first).limit.id, ...(never ? { never: 'true' } : {}) },
    retryAfterMs: longestWaitMs(statuses),
    limits: limits.flatMap(({ limit }, i) => (statuses[i] ? [limitState(limit, statuses[i])] : [])),
  });
}

/** The wait until no limit refuses, in milliseconds. */
export function longestWaitMs(statuses: readonly LimitStatus[]): number {
  return Math.min(HOPELESS_MS, Math.max(0, ...statuses.map(({ retryAfterMs }) => retryAfterMs)));
}

/** Ids of the limits that refuse. */
export function refusing(limits: readonly AppliedLimit[], statuses: readonly LimitStatus[]): string[] {
  return limits.filter((_, i) => (statuses[i]?.retryAfterMs ?? 0) > 0).map(({ limit }) => limit.id);
}

function text(first: AppliedLimit, never: AppliedLimit | undefined): string {
  if (!never) return `Rate limit exceeded. Maximum ${description(first)}.`;
  return `This request asks for more than the ${description(never)}. Lower max_tokens or shorten the prompt.`;
}

/** E.g. "30 requests per minute allowed for tier 'standard'". */
function description({ scope, definition: { unit, window, rule }, limit }: AppliedLimit): string {
  const maximum = rule.kind === 'bucket' ? rule.refillPerMinute : rule.maximum;
  const per = window === 'none' ? '' : ` per ${window === 'bucket' ? 'minute' : window}`;
  const whose = scope === 'tier' ? `tier '${limit.subject}'` : WHOSE[scope];
  return `${maximum} ${WHAT[unit]}${per} allowed for ${whose}`;
}

/** What renews with the calendar is a budget; what slides is a rate. */
function isBudget({ definition: { window } }: AppliedLimit): boolean {
  return window === 'day' || window === 'month';
}
