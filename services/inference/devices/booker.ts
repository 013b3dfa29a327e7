import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { DeviceDemand } from '../engines/engine.ts';
import { newMark } from '../supervisor/process-table.ts';
import type { Booking } from './booking.ts';
import type { DeviceScene } from './device-scene.ts';
import type { DeviceView } from './device-view.ts';
import { type PlacementDecision, place } from './placement.ts';

/** How often a place is looked for while another mesh of the host wants the same one. */
const TRIES = 10;

/** The longest pause between two tries, in milliseconds; by chance, so that two meshes do not keep in step. */
const PAUSE_MS = 100;

/** What came of it. */
export interface BookingOutcome {
  readonly decision: PlacementDecision<DeviceView>;
  /** Unset: there is no room. */
  readonly booking?: Booking | undefined;
}

interface Attempt extends BookingOutcome {
  /** Another mesh published a claim on the same at the same moment. */
  readonly isOutrun: boolean;
}

/**
 * Books devices for a demand by the scene as it is. Meshes that do so at the same moment never both get what only one of
 * them can have.
 *
 * @throws ClaimsUnusableError when it cannot be told to other meshes; then nothing is booked.
 */
export async function bookPlace(scene: DeviceScene, engine: string, demand: DeviceDemand): Promise<BookingOutcome> {
  let wasOutrun = false;
  for (let tries = 1; ; tries++) {
    const isLast = tries === TRIES;
    const attempt = await attemptOnce(scene, engine, demand, wasOutrun && !isLast);
    wasOutrun ||= attempt.isOutrun;
    if (attempt.booking || !wasOutrun || isLast) return attempt;
    // Whoever ran against us may have given up as well.
    await delay(randomInt(1, PAUSE_MS));
    await scene.lookAtClaims();
  }
}

/**
 * Decides, publishes the claim, and only then looks whether others have published one meanwhile: of two meshes that do so at
 * the same time at least one sees the other, and gives up.
 */
async function attemptOnce(
  scene: DeviceScene,
  engine: string,
  demand: DeviceDemand,
  onDevicesOnly: boolean,
): Promise<Attempt> {
  const decision = place(scene.views(), demand);
  const { outcome } = decision;
  if (outcome === 'refused' || (onDevicesOnly && outcome === 'cpu')) return { decision, isOutrun: false };
  const booking: Booking = {
    engine,
    mark: newMark(),
    devices: decision.chosen.map(({ device }) => device.index),
    bytes: new Map(decision.chosen.map(({ device, claimBytes }) => [device.uuid, claimBytes])),
  };
  // No await since the decision: whoever books next in this process sees it.
  scene.add({ booking, shares: demand.shares, run: demand.run });
  if (outcome === 'cpu') return { decision, booking, isOutrun: false };
  let isHeld = false;
  try {
    scene.publish();
    const others = await scene.lookAtClaims();
    const again = place(scene.views(others, booking), { ...demand, indices: booking.devices });
    isHeld = again.outcome === 'devices';
    return isHeld ? { decision, booking, isOutrun: false } : { decision: again, isOutrun: true };
  } finally {
    if (!isHeld) {
      scene.ledger.remove(booking);
      scene.renew();
    }
  }
}
