import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';

/** From each state, where an engine may go. */
const TRANSITIONS: Readonly<Record<number, readonly EngineState[]>> = {
  [EngineState.PENDING]: [EngineState.STARTING, EngineState.STOPPED],
  [EngineState.STARTING]: [
    EngineState.READY,
    EngineState.UNHEALTHY,
    EngineState.BACKOFF,
    EngineState.QUARANTINED,
    EngineState.STOPPING,
  ],
  [EngineState.READY]: [
    EngineState.UNHEALTHY,
    EngineState.DRAINING,
    EngineState.STOPPING,
    EngineState.BACKOFF,
    EngineState.QUARANTINED,
  ],
  [EngineState.UNHEALTHY]: [
    EngineState.READY,
    EngineState.DRAINING,
    EngineState.STOPPING,
    EngineState.BACKOFF,
    EngineState.QUARANTINED,
  ],
  [EngineState.DRAINING]: [EngineState.STOPPING],
  [EngineState.STOPPING]: [EngineState.STOPPED],
  [EngineState.BACKOFF]: [EngineState.STARTING, EngineState.STOPPED],
  [EngineState.QUARANTINED]: [EngineState.STARTING, EngineState.STOPPED],
  [EngineState.STOPPED]: [EngineState.STARTING],
};

/** Whether an engine may go from one state to another. */
export function mayBecome(from: EngineState, to: EngineState): boolean {
  return TRANSITIONS[from]?.includes(to) ?? false;
}

/** Whether a failure is shown in a state. */
export function showsFailure(state: EngineState): boolean {
  return state === EngineState.UNHEALTHY || state === EngineState.BACKOFF || state === EngineState.QUARANTINED;
}
