import { EngineStateSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { Candidate } from '../fleet/snapshot.ts';
import type { EngineLoads } from './engine-loads.ts';
import type { RouteFeatures } from './features.ts';

/** What decides whether an engine can take a request now. */
export interface Circumstances {
  readonly features: RouteFeatures;
  readonly loads: Pick<EngineLoads, 'of' | 'typicalTokens'>;
  /** Whether it is out of question for this request, e.g. tried before. */
  readonly excluded: (candidate: Candidate) => boolean;
}

/** Why an engine cannot take a request although it takes others. */
type Refusal = 'not pinned' | 'excluded' | 'full';

/** Whether a request is pinned elsewhere. Pure. */
export function isPinnedElsewhere({ id, engine }: Candidate, pinned: string): boolean {
  return pinned !== '' && engine.name !== pinned && id !== pinned;
}

/** What is in the way of one request at an engine that takes requests. Undefined: nothing. Pure. */
export function refusalOf(candidate: Candidate, { features, loads, excluded }: Circumstances): Refusal | undefined {
  if (isPinnedElsewhere(candidate, features.pinned)) return 'not pinned';
  if (excluded(candidate)) return 'excluded';
  const { maxConcurrency } = candidate.engine;
  return maxConcurrency > 0 && loads.of(candidate.id).requests >= maxConcurrency ? 'full' : undefined;
}

/** The same in words, engines that take no requests included. Undefined: nothing is in the way. Pure. */
export function whyNot(candidate: Candidate, circumstances: Circumstances): string | undefined {
  const { engine, draining, standing } = candidate;
  switch (refusalOf(candidate, circumstances)) {
    case 'not pinned':
      return `the request is pinned to '${circumstances.features.pinned}'`;
    case 'excluded':
      return 'it was tried before';
    case 'full':
      return `it runs ${circumstances.loads.of(candidate.id).requests} of at most ${engine.maxConcurrency} requests`;
    default:
  }
  if (standing !== 'out') return undefined;
  if (draining) return 'its node takes nothing new';
  if (engine.unloaded) return 'it was unloaded by hand';
  return `it is ${EngineStateSchema.value[engine.state]?.localName ?? 'in an unknown state'}`;
}

/** The fullest that a cache counts as: beyond it a token weighs no more. */
const FULLEST = 0.95;

/**
 * How much a request would weigh on an engine: tokens there, its own included, by what the engine bears; a token weighs the
 * more, the less of the cache is left. Lower is better. Pure.
 */
export function scoreOf({ id, weight }: Candidate, { features, loads }: Circumstances): number {
  const { tokens, others, kvCacheUsed } = loads.of(id);
  const there = tokens + others * loads.typicalTokens + features.tokens;
  return there / weight / (1 - Math.min(kvCacheUsed, FULLEST));
}
