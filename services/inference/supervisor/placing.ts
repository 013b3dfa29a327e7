import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { Booking, PlacementRefusal } from '../devices/device-book.ts';
import type { DeviceDemand, EnginePlace } from '../engines/engine.ts';
import { StartRefusedError } from '../engines/start-refused.ts';
import type { Failure } from './engine-status.ts';
import { type Ending, refused } from './failure-cause.ts';
import type { ProcessSupervisorParts } from './supervised-engine.ts';

/** Where one start runs, and what it holds there. */
export interface Placing {
  readonly kind: 'placed';
  readonly place: EnginePlace;
  /** Unset: it needs nothing of the devices. */
  readonly booking: Booking | undefined;
}

/** There is no room, which may change by itself. */
export interface NoRoom {
  readonly kind: 'no-room';
  readonly failure: Omit<Failure, 'attempts'>;
}

/** Books devices and takes ports for one start. Never rejects: what it could not find out is an ending. */
export async function placeEngine(parts: ProcessSupervisorParts): Promise<Placing | NoRoom | Ending> {
  const { adapter, entry, devices, ports } = parts;
  let demand: DeviceDemand | undefined;
  try {
    demand = await adapter.demand();
  } catch (error) {
    if (error instanceof StartRefusedError) return refused(error);
    return notStarted(FailureCause.UNSUPPORTED_MODEL, error);
  }
  const booking = demand && (await devices.book(entry.name, demand));
  if (booking && 'refused' in booking) return { kind: 'no-room', failure: noRoom(booking, demand?.indices) };
  try {
    const taken = adapter.portCount > 0 ? await ports.take(adapter.portCount) : [];
    return { kind: 'placed', booking, place: { devices: booking?.devices ?? [], ports: taken } };
  } catch (error) {
    if (booking) devices.release(booking);
    return notStarted(FailureCause.ORPHAN_FOUND, error);
  }
}

/** A start that failed before there was a process. */
export function notStarted(cause: FailureCause, error: unknown): Ending {
  return { kind: 'not-started', cause, problem: error instanceof Error ? error.message : String(error) };
}

function noRoom(
  { why, candidates }: PlacementRefusal,
  indices: readonly number[] | undefined,
): Omit<Failure, 'attempts'> {
  const evidence = candidates.map(({ device, why: reason }) => `device ${device.index ?? 'CPU'}: ${reason}`);
  const isLost = candidates.some(({ device }) => device.lost && (indices?.includes(device.index ?? -1) ?? true));
  return { cause: isLost ? FailureCause.DEVICE_LOST : FailureCause.DEVICE_BUSY, hint: why, evidence };
}

/** Gives back what a start would have held that is not made. */
export function giveBack({ booking, place }: Placing, { devices, ports }: ProcessSupervisorParts): void {
  if (booking) devices.release(booking);
  ports.release(place.ports);
}
