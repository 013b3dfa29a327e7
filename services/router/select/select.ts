import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { Candidate } from '../fleet/snapshot.ts';
import { powerOfTwo } from './power-of-two.ts';

/** What the choice may look at besides the candidates. */
export interface SelectInput {
  /** The engine that an admin pinned the request to. Empty: none. */
  readonly pinned: string;
  /** How many generations run on a candidate. */
  readonly inFlight: (id: string) => number;
  /** Random numbers from 0 up to 1. */
  readonly random: () => number;
}

/** Picks the engine for one request, or undefined when none can take it. Pure. */
export function select(candidates: readonly Candidate[], input: SelectInput): Candidate | undefined {
  const eligible = candidates.filter((candidate) => isEligible(candidate, input));
  return powerOfTwo(eligible, (candidate) => input.inFlight(candidate.id), input.random);
}

function isEligible(candidate: Candidate, input: SelectInput): boolean {
  const { engine } = candidate;
  if (input.pinned !== '' && engine.name !== input.pinned) return false;
  if (candidate.draining || engine.state !== EngineState.READY) return false;
  return engine.maxConcurrency === 0 || input.inFlight(candidate.id) < engine.maxConcurrency;
}
