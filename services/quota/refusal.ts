import { MeshError } from '../shared/errors/mesh-error.ts';
import type { LimitStatus } from './budget.ts';
import { type AppliedLimit, limitState } from './limits.ts';

/** The error of a refused reservation: it names the first limit that refuses and waits for the last one. */
export function refusal(limits: readonly AppliedLimit[], statuses: readonly LimitStatus[]): MeshError {
  const refusing = limits.find((_, i) => (statuses[i]?.retryAfterMs ?? 0) > 0);
  return new MeshError('RATE_LIMIT_EXCEEDED', refusing?.refusal ?? 'Rate limit exceeded.', {
    metadata: { limit: refusing?.limit.id ?? '' },
    retryAfterMs: Math.max(...statuses.map((status) => status.retryAfterMs)),
    limits: limits.flatMap(({ limit }, i) => (statuses[i] ? [limitState(limit, statuses[i])] : [])),
  });
}
