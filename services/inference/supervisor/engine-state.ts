import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';

/** From each state, where an engine may go. */
const TRANSITIONS: Readonly<Record<number, readonly EngineState[]>> = {
  // Straight to STARTING: a server elsewhere, which needs no place here.
  [EngineState.PENDING]: [
    EngineState.PLACED,
    EngineState.STARTING,
    EngineState.BACKOFF,
    EngineState.QUARANTINED,
    EngineState.STOPPED,
  ],
  [EngineState.PLACED]: [EngineState.STARTING, EngineState.STOPPED],
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
  // From UNHEALTHY to itself: for another reason.
  [EngineState.UNHEALTHY]: [
    EngineState.READY,
    EngineState.UNHEALTHY,
    EngineState.DRAINING,
    EngineState.STOPPING,
    EngineState.BACKOFF,
    EngineState.QUARANTINED,
  ],
  // On to sleep, or it fails on the way there.
  [EngineState.DRAINING]: [EngineState.STOPPING, EngineState.SLEEPING, EngineState.UNHEALTHY],
  [EngineState.SLEEPING]: [
    // To itself: still no room to wake.
    EngineState.SLEEPING,
    EngineState.STARTING,
    EngineState.STOPPING,
    EngineState.UNHEALTHY,
  ],
  [EngineState.STOPPING]: [EngineState.STOPPED],
  // From BACKOFF to itself: still no room.
  [EngineState.BACKOFF]: [EngineState.PLACED, EngineState.BACKOFF, EngineState.QUARANTINED, EngineState.STOPPED],
  [EngineState.QUARANTINED]: [EngineState.STOPPED],
  [EngineState.STOPPED]: [],
};

/** Whether an engine may go from one state to another. */
export function mayBecome(from: EngineState, to: EngineState): boolean {
  return TRANSITIONS[from]?.includes(to) ?? false;
}

/** Whether a failure is shown in a state. */
export function showsFailure(state: EngineState): boolean {
  return state === EngineState.UNHEALTHY || state === EngineState.BACKOFF || state === EngineState.QUARANTINED;
}
