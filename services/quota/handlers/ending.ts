import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Ended } from '../store/quota-store.ts';

/**
 * When a lease ended, in milliseconds since the epoch.
 *
 * @throws MeshError RESERVATION_NOT_FOUND, or RESERVATION_ENDED when it ended otherwise.
 */
export function endedAtMs(reservationId: string, ended: Ended): number {
  if (ended.kind === 'done') return ended.endedAtMs;
  if (ended.kind === 'unknown') {
    throw new MeshError('RESERVATION_NOT_FOUND', 'There is no such reservation.', {
      metadata: { reservation_id: reservationId },
    });
  }
  throw new MeshError('RESERVATION_ENDED', `The reservation has ended: it is ${ended.state}.`, {
    metadata: { reservation_id: reservationId, state: ended.state },
  });
}
