import type { Candidate, ModelRoute } from '../fleet/snapshot.ts';
import { powerOfTwo } from './power-of-two.ts';
import { rendezvous } from './rendezvous.ts';
import { type Circumstances, isPinnedElsewhere, refusalOf, scoreOf } from './verdict.ts';

/** What the choice may look at besides the engines. */
export interface SelectInput extends Circumstances {
  /** The candidate that computed the start of the prompt last. Unset: none is known. */
  readonly affine: string | undefined;
  /** How many times the score of the best drawn that candidate may have. 0: it counts as any other. */
  readonly affinityBound: number;
  /** Those of a list that may have room, without looking at each. Unset: any may. */
  readonly free?: (engines: readonly Candidate[]) => readonly Candidate[];
  /** Random numbers from 0 up to 1. */
  readonly random: () => number;
}

/** An engine, and what made it the one. */
export interface Choice {
  readonly candidate: Candidate;
  readonly because: 'session' | 'prefix' | 'load';
}

/**
 * Picks the engine for one request, or undefined when none can take it: one that is ready, else one that comes on demand.
 * Pure; its time does not grow with the number of engines unless most of those that have room cannot take it.
 */
export function select(route: ModelRoute, input: SelectInput): Choice | undefined {
  return choose(route.ready, route, input) ?? choose(route.coming, route, input);
}

function choose(all: readonly Candidate[], { byId }: ModelRoute, input: SelectInput): Choice | undefined {
  if (all.length === 0) return undefined;
  const from = input.free?.(all) ?? all;
  const passes = (candidate: Candidate): boolean => refusalOf(candidate, input) === undefined;
  const { session } = input.features;
  if (session !== undefined) {
    const candidate = rendezvous(from, session, passes);
    return candidate && { candidate, because: 'session' };
  }
  const score = (candidate: Candidate): number => scoreOf(candidate, input);
  const drawn = powerOfTwo(from, passes, score, input.random);
  if (!drawn) return undefined;
  const affine = input.affine === undefined ? undefined : byId.get(input.affine);
  const isKept =
    affine?.standing === drawn.standing && passes(affine) && score(affine) <= input.affinityBound * score(drawn);
  return affine && isKept ? { candidate: affine, because: 'prefix' } : { candidate: drawn, because: 'load' };
}

/** Whether none of the engines that are meant takes requests because all of them were unloaded by hand. Pure. */
export function areUnloaded(candidates: readonly Candidate[], pinned: string): boolean {
  const meant = candidates.filter((candidate) => !isPinnedElsewhere(candidate, pinned));
  return meant.length > 0 && meant.every(({ engine }) => engine.unloaded);
}
