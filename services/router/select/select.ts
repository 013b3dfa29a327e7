import { type Engine, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
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

/** Where an engine that comes on demand is while it is not loaded, and a request makes it come. */
const COMES: ReadonlySet<EngineState> = new Set([
  EngineState.PENDING,
  EngineState.PLACED,
  EngineState.STARTING,
  EngineState.DRAINING,
  EngineState.STOPPING,
  EngineState.STOPPED,
  EngineState.SLEEPING,
]);

/**
 * Picks the engine for one request, or undefined when none can take it: one that is ready, else one that comes on demand.
 * Pure.
 */
export function select(candidates: readonly Candidate[], input: SelectInput): Candidate | undefined {
  const able = candidates.filter((candidate) => isMeant(candidate, input.pinned) && hasRoom(candidate, input));
  const ready = able.filter(({ engine }) => engine.state === EngineState.READY && !engine.unloaded);
  const chosenFrom = ready.length > 0 ? ready : able.filter(({ engine }) => comesOnDemand(engine));
  return powerOfTwo(chosenFrom, (candidate) => input.inFlight(candidate.id), input.random);
}

/** Whether none of the engines that are meant takes requests because all of them were unloaded by hand. Pure. */
export function areUnloaded(candidates: readonly Candidate[], pinned: string): boolean {
  const meant = candidates.filter((candidate) => isMeant(candidate, pinned));
  return meant.length > 0 && meant.every(({ engine }) => engine.unloaded);
}

function isMeant({ engine }: Candidate, pinned: string): boolean {
  return pinned === '' || engine.name === pinned;
}

function hasRoom({ id, draining, engine }: Candidate, { inFlight }: SelectInput): boolean {
  return !draining && (engine.maxConcurrency === 0 || inFlight(id) < engine.maxConcurrency);
}

function comesOnDemand({ onDemand, unloaded, state }: Engine): boolean {
  return onDemand && !unloaded && COMES.has(state);
}
