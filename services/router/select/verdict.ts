import { type Engine, EngineStateSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { Candidate } from '../fleet/snapshot.ts';
import { demandOf } from '../generate/demand.ts';
import type { EngineLoads, LoadNow } from './engine-loads.ts';
import type { RouteFeatures } from './features.ts';

/** What decides whether an engine can take a request now. */
export interface Circumstances {
  readonly features: RouteFeatures;
  readonly loads: Pick<EngineLoads, 'of' | 'typicalTokens'>;
  /** Whether it is out of question for this request, e.g. tried before. */
  readonly excluded: (candidate: Candidate) => boolean;
  /** Whether it failed again and again and gets nothing for now. Unset: none did. */
  readonly failing?: ((candidate: Candidate) => boolean) | undefined;
  /** Whether its free places are for others. Unset: for whoever comes. */
  readonly taken?: (candidate: Candidate) => boolean;
}

/** Why an engine cannot take a request although it takes others. */
export type Refusal = 'not pinned' | 'excluded' | 'failing' | 'full';

/** Whether a request is pinned elsewhere. Pure. */
export function isPinnedElsewhere({ id, engine }: Candidate, pinned: string): boolean {
  return pinned !== '' && engine.name !== pinned && id !== pinned;
}

/** What is in the way of one request at an engine that takes requests. Undefined: nothing. Pure. */
export function refusalOf(candidate: Candidate, circumstances: Circumstances): Refusal | undefined {
  const { features, excluded, failing, taken } = circumstances;
  if (isPinnedElsewhere(candidate, features.pinned)) return 'not pinned';
  if (excluded(candidate)) return 'excluded';
  if (failing?.(candidate)) return 'failing';
  return taken?.(candidate) || isFull(candidate, circumstances) ? 'full' : undefined;
}

/** Whether an engine is full whatever a request asks for; it may be full for one although it is not for all. Pure. */
export function isFullForAll({ engine }: Candidate, { requests, othersRunning, contextTokens }: LoadNow): boolean {
  const { maxConcurrency, maxConcurrentContextTokens: most } = engine;
  if (maxConcurrency > 0 && requests + othersRunning >= maxConcurrency) return true;
  return most > 0 && requests > 0 && contextTokens >= most;
}

/** Others' requests count as last reported. A request that is larger than the limit of its context runs alone. */
function isFull({ id, engine }: Candidate, { features, loads }: Circumstances): boolean {
  const { maxConcurrency, maxConcurrentContextTokens: most } = engine;
  if (maxConcurrency === 0 && most === 0) return false;
  const { requests, othersRunning, contextTokens } = loads.of(id);
  if (maxConcurrency > 0 && requests + othersRunning >= maxConcurrency) return true;
  return most > 0 && requests > 0 && contextTokens + contextTokensOf(features, engine) > most;
}

/** The most of an engine's context that a request may fill, in tokens. Pure. */
export function contextTokensOf(
  features: Pick<RouteFeatures, 'promptTokens' | 'sampling'>,
  engine: Pick<Engine, 'contextTokens'>,
): number {
  const prompt = { tokens: features.promptTokens, isExact: false };
  const { promptTokens, maxCompletionTokens } = demandOf(features, engine.contextTokens, prompt);
  return promptTokens + maxCompletionTokens;
}

/** The same in words, engines that take no requests included. Undefined: nothing is in the way. Pure. */
export function whyNot(candidate: Candidate, circumstances: Circumstances): string | undefined {
  const { engine, draining, standing } = candidate;
  switch (refusalOf(candidate, circumstances)) {
    case 'not pinned':
      return `the request is pinned to '${circumstances.features.pinned}'`;
    case 'excluded':
      return 'it was tried before';
    case 'failing':
      return 'it failed several times in a row; a request will try it again within 30 seconds';
    case 'full':
      return howFull(candidate, circumstances);
    default:
  }
  if (standing !== 'out') return undefined;
  if (draining) return 'its node takes nothing new';
  if (engine.unloaded) return 'it was unloaded by hand';
  return `it is ${EngineStateSchema.value[engine.state]?.localName ?? 'in an unknown state'}`;
}

function howFull({ id, engine }: Candidate, { features, loads }: Circumstances): string {
  const { maxConcurrency, maxConcurrentContextTokens: most } = engine;
  const { requests, othersRunning, contextTokens } = loads.of(id);
  const running = requests + othersRunning;
  if (maxConcurrency > 0 && running >= maxConcurrency)
    return `it runs ${running} of at most ${maxConcurrency} requests`;
  const asked = contextTokensOf(features, engine);
  return `its requests may fill ${contextTokens} of at most ${most} tokens of context, and this one ${asked} more`;
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
