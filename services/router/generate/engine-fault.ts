import type { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Reason } from '../../shared/errors/reasons.ts';

/**
 * What the end of an attempt says of its engine: `broken` counts against it, `elsewhere` does not, but another one may take
 * the request; `final` is about the request itself, which no other engine would take either.
 */
export type EngineFault = 'broken' | 'elsewhere' | 'final';

const BROKEN: ReadonlySet<Reason> = new Set([
  'ENGINE_LOST',
  'ENGINE_FAILED',
  'PEER_UNAVAILABLE',
  'NO_HEALTHY_ENGINE',
  'DEADLINE_EXCEEDED',
  'INTERNAL',
]);

const ELSEWHERE: ReadonlySet<Reason> = new Set([
  'ENGINE_BUSY',
  'QUEUE_FULL',
  'SHUTTING_DOWN',
  'MODEL_NOT_FOUND',
  'MODEL_NOT_LOADED',
]);

/** What an error of an engine's side means. Pure. */
export function faultOf({ reason, metadata }: MeshError): EngineFault {
  // A refusal: a wrong key or a model that is no longer there. Another engine may be set up better.
  if (reason === 'ENGINE_FAILED' && /^4\d\d$/.test(metadata.status ?? '')) return 'elsewhere';
  if (BROKEN.has(reason)) return 'broken';
  return ELSEWHERE.has(reason) ? 'elsewhere' : 'final';
}
