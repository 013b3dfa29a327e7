import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { LeaseState } from '../lease.ts';
import type { Ended } from '../store/quota-store.ts';

/**
 * When a lease ended, in milliseconds since the epoch.
 *
 * @throws MeshError RESERVATION_NOT_FOUND, or RESERVATION_ENDED when it ended otherwise.
 */
export function endedAtMs(reservationId: string, ended: Ended): number {
  if (ended.kind === 'done') return ended.endedAtMs;
  if (ended.kind === 'ended') throw reservationEnded(reservationId, ended.state);
  throw new MeshError('RESERVATION_NOT_FOUND', 'There is no such reservation.', {
    metadata: { reservation_id: reservationId },
  });
}

/** A lease that ended otherwise than the caller thinks. */
export function reservationEnded(reservationId: string, state: LeaseState): MeshError {
  return new MeshError('RESERVATION_ENDED', `The reservation has ended: it is ${state}.`, {
    metadata: { reservation_id: reservationId, state },
  });
}
