import type { DeviceDemand } from '../engines/engine.ts';
import { type PlaceableDevice, place } from './placement.ts';

/** One step of a plan: when the engines `leave` have gone, another comes. */
export interface PlanStep {
  /** The name of who comes. */
  readonly engine: string;
  /** What it needs of the devices. Undefined: nothing. */
  readonly come: DeviceDemand | undefined;
  /** Names of engines. */
  readonly leave: readonly string[];
}

/**
 * Whether at each step of a plan who comes would get a place, beside those who came before. An engine that may fall back to
 * the CPU gets one there only where the devices could never take it. Pure.
 */
export function wouldFit(devices: readonly PlaceableDevice[], plan: readonly PlanStep[]): boolean {
  const empty = devices.map((device) => without(device, () => true));
  let now = devices;
  for (const { engine, come, leave } of plan) {
    if (leave.length > 0) now = now.map((device) => without(device, (other) => leave.includes(other)));
    if (!come) continue;
    const { outcome, chosen } = place(now, come);
    if (outcome === 'refused') return false;
    if (outcome === 'cpu' && place(empty, come).outcome === 'devices') return false;
    const claims = new Map(chosen.map(({ device, claimBytes }) => [device.uuid, claimBytes]));
    now = now.map((device) => booked(device, { engine, bytes: claims.get(device.uuid), shares: come.shares }));
  }
  return true;
}

function booked(
  device: PlaceableDevice,
  { engine, bytes, shares }: { engine: string; bytes: number | undefined; shares: boolean },
): PlaceableDevice {
  if (bytes === undefined) return device;
  return { ...device, bookings: [...device.bookings, { engine, bytes, shares }] };
}

/** A device as it is when the memory of some engines is back: what the others use is at most what they have booked. */
function without(device: PlaceableDevice, goes: (engine: string) => boolean): PlaceableDevice {
  const bookings = device.bookings.filter(({ engine }) => !goes(engine));
  if (bookings.length === device.bookings.length) return device;
  const stays = bookings.reduce((sum, { bytes }) => sum + bytes, device.foreignBytes);
  return { ...device, bookings, usedBytes: Math.min(device.usedBytes, stays) };
}
