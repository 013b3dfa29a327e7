import { type Engine, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';

/** Whether an engine takes requests: now, when one makes it come, or not at all. */
export type Standing = 'ready' | 'coming' | 'out';

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

/** Whether an engine takes requests. Pure. */
export function standingOf({ state, unloaded, onDemand }: Engine, nodeIsDraining: boolean): Standing {
  if (nodeIsDraining || unloaded) return 'out';
  if (state === EngineState.READY) return 'ready';
  return onDemand && COMES.has(state) ? 'coming' : 'out';
}
