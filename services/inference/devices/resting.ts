import type { Booking } from './booking.ts';
import type { DeviceScene } from './device-scene.ts';
import type { DeviceView } from './device-view.ts';
import { toldUse } from './memory-return.ts';
import { place } from './placement.ts';

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
 * @returns undefined when it has them; else why not, in words: it goes on resting
 * @throws ClaimsUnusableError when it cannot be told to other meshes; then it goes on resting.
 */
export async function restoreBooking(scene: DeviceScene, booking: Booking): Promise<string | undefined> {
  const entry = scene.ledger.entryOf(booking);
  const held = entry?.restingBytes;
  if (!entry || !held) throw new Error(`'${booking.engine}' has no booking that rests`);
  const { shares } = entry;
  const decide = (views: readonly DeviceView[]) => placeAgain(views, booking, shares);
  const why = decide(scene.views(undefined, booking));
  if (why !== undefined) return why;
  // As for a new booking: told to other meshes first, then seen whether one of them was as quick.
  scene.ledger.rest(booking, undefined);
  let isHeld = false;
  try {
    scene.publish();
    const again = decide(scene.views(await scene.lookAtClaims(), booking));
    isHeld = again === undefined;
    return again;
  } finally {
    if (!isHeld) {
      scene.ledger.rest(booking, held);
      scene.renew();
    }
  }
}

/** Why one of its devices has no room for what was booked of it, which differs where the devices do. Undefined: all have. */
function placeAgain(views: readonly DeviceView[], { bytes }: Booking, shares: boolean): string | undefined {
  for (const [uuid, wanted] of bytes) {
    const view = views.find((one) => one.uuid === uuid);
    if (!view) return 'one of its devices is not there';
    const claim = { kind: 'bytes', bytes: wanted } as const;
    const demand = { count: 1, indices: [view.index], claim, neededBytes: wanted, shares, fallsBackToCpu: false };
    const { outcome, why } = place([view], demand);
    if (outcome !== 'devices') return why;
  }
  return undefined;
}
