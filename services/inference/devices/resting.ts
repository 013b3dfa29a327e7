import type { Booking } from './booking.ts';
import type { DeviceScene } from './device-scene.ts';
import type { DeviceView } from './device-view.ts';
import { toldUse } from './memory-return.ts';
import { type PlacementDecision, place } from './placement.ts';

/**
 * Books only what an engine that sleeps holds by the last reading, so that others find room. Of a driver that does not tell
 * it, all stays booked.
 */
export function restBooking(scene: DeviceScene, booking: Booking): void {
  const { reading, ownProcesses } = scene.watch;
  const held = [...booking.bytes].map(([uuid, bytes]): [string, number] => {
    const told = toldUse(booking.mark, uuid, reading, ownProcesses).bytes;
    return [uuid, Math.min(bytes, told ?? bytes)];
  });
  scene.ledger.rest(booking, new Map(held));
  scene.renew();
}

/**
 * Books again all that a resting booking had, if that is free by the last reading.
 *
 * @returns the decision; unless its outcome is "devices" the booking goes on resting
 * @throws ClaimsUnusableError when it cannot be told to other meshes; then it goes on resting.
 */
export async function restoreBooking(scene: DeviceScene, booking: Booking): Promise<PlacementDecision<DeviceView>> {
  const entry = scene.ledger.entryOf(booking);
  const held = entry?.restingBytes;
  if (!entry || !held) throw new Error(`'${booking.engine}' has no booking that rests`);
  const bytes = Math.max(...booking.bytes.values());
  const demand = {
    count: booking.bytes.size,
    indices: booking.devices,
    claim: { kind: 'bytes', bytes },
    neededBytes: bytes,
    shares: entry.shares,
    fallsBackToCpu: false,
  } as const;
  const decision = place(scene.views(undefined, booking), demand);
  if (decision.outcome !== 'devices') return decision;
  // As for a new booking: told to other meshes first, then seen whether one of them was as quick.
  scene.ledger.rest(booking, undefined);
  let isHeld = false;
  try {
    scene.publish();
    const again = place(scene.views(await scene.lookAtClaims(), booking), demand);
    isHeld = again.outcome === 'devices';
    return again;
  } finally {
    if (!isHeld) {
      scene.ledger.rest(booking, held);
      scene.renew();
    }
  }
}
