import { create } from '@bufbuild/protobuf';
import { type RouteCandidate, RouteCandidateSchema } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import type { Candidate, ModelRoute } from '../fleet/snapshot.ts';
import type { Chooser } from './chooser.ts';
import type { RouteFeatures } from './features.ts';
import type { Choice } from './select.ts';
import { type Circumstances, scoreOf, whyNot } from './verdict.ts';

const BECAUSE: Readonly<Record<Choice['because'], string>> = {
  session: 'its session leads here',
  prefix: 'it computed the same start of a conversation before, and its load is within the bound',
  load: 'the less loaded of two that were drawn at random',
};

/**
 * Every engine that a request could go to and why it would or would not, the chosen one first; then by score. `routes` are
 * its model and the fallbacks, in order. Nothing is counted.
 */
export function explain(routes: readonly ModelRoute[], features: RouteFeatures, chooser: Chooser): RouteCandidate[] {
  const circumstances = { features, loads: chooser.loads, excluded: () => false, failing: chooser.failing };
  let choice: Choice | undefined;
  const told: RouteCandidate[] = [];
  for (const [at, route] of routes.entries()) {
    const earlier = choice;
    choice ??= chooser.choose(route, features);
    for (const candidate of route.candidates) {
      const why = earlier ? 'a fallback, for when no engine of the model can take the request' : undefined;
      const isFallback = at > 0 ? ` (fallback '${route.id}')` : '';
      told.push(describe(candidate, choice, circumstances, why, isFallback));
    }
  }
  return told.toSorted((a, b) => Number(b.chosen) - Number(a.chosen) || orderOf(a) - orderOf(b));
}

function describe(
  candidate: Candidate,
  choice: Choice | undefined,
  circumstances: Circumstances,
  unneeded: string | undefined,
  suffix: string,
): RouteCandidate {
  const refusal = whyNot(candidate, circumstances);
  const chosen = candidate === choice?.candidate;
  const score = scoreOf(candidate, circumstances);
  const why =
    refusal ?? (chosen ? BECAUSE[choice.because] : (unneeded ?? lost(candidate, choice, score, circumstances)));
  return create(RouteCandidateSchema, {
    node: candidate.node,
    engine: candidate.engine.name,
    chosen,
    why: why + suffix,
    ...(refusal === undefined ? { score } : {}),
  });
}

function lost(candidate: Candidate, choice: Choice | undefined, score: number, circumstances: Circumstances): string {
  if (!choice) return 'no engine was chosen';
  if (choice.candidate.standing !== candidate.standing) return 'it would have to be loaded first';
  if (choice.because !== 'load') return `another one was chosen: ${BECAUSE[choice.because]}`;
  const isMoreLoaded = score > scoreOf(choice.candidate, circumstances);
  return isMoreLoaded ? 'it is more loaded than the chosen one' : 'two are drawn at random; it was not one of them';
}

function orderOf({ score }: RouteCandidate): number {
  return score ?? Number.POSITIVE_INFINITY;
}
