import type { DriverReading } from './gpu-reading.ts';

/** What may be left of a booking when its memory counts as back. */
const TOLERATED_SHARE = 0.05;

/** What the driver tells of one start's processes on a device. */
export interface ToldUse {
  /** Whether it names any of them. */
  readonly isListed: boolean;
  /** What they use. Unset: it names none, or does not tell the memory of each. */
  readonly bytes: number | undefined;
}

/** Finds a start's processes in a reading. `own` has the mark of each of our processes. Pure. */
export function toldUse(mark: string, uuid: string, reading: DriverReading, own: ReadonlyMap<number, string>): ToldUse {
  const listed = reading.processes.filter((one) => one.uuid === uuid && own.get(one.processId) === mark);
  const isTold = listed.length > 0 && listed.every(({ usedBytes }) => usedBytes !== undefined);
  const bytes = isTold ? listed.reduce((sum, { usedBytes }) => sum + (usedBytes ?? 0), 0) : undefined;
  return { isListed: listed.length > 0, bytes };
}

/** A start on a device that is looked at. */
export interface BookedUse extends ToldUse {
  readonly bookedBytes: number;
}

/** What is known of one device after a start on it has ended. */
export interface DeviceAfterEnd {
  /** What the device holds now and held before its first booking, the processes of others aside. */
  readonly heldBytes: number;
  readonly heldBeforeBytes: number;
  readonly ended: BookedUse;
  /** The other bookings of the device. */
  readonly neighbours: readonly BookedUse[];
  /** Whether this driver tells the memory of our processes at all; in a container it often names none. */
  readonly driverTells: boolean;
}

/** What of an ended start's memory is still in use on a device. */
export interface MemoryRest {
  /** `ours`: the driver still names its processes. `unknown`: more is used than before it, and nobody is named for it. */
  readonly whose: 'ours' | 'unknown';
  readonly bytes: number;
}

/** What of the memory is not back yet. Undefined: all is, up to 5 % of the booking. Pure. */
export function memoryRest(device: DeviceAfterEnd): MemoryRest | undefined {
  const { ended, neighbours, driverTells } = device;
  const toleratedBytes = ended.bookedBytes * TOLERATED_SHARE;
  const toldBytes = ended.bytes ?? ended.bookedBytes;
  if (ended.isListed && toldBytes > toleratedBytes) return { whose: 'ours', bytes: toldBytes };
  const neighbourBytes = neighbours.reduce((sum, one) => sum + useOf(one, driverTells), 0);
  const bytes = device.heldBytes - device.heldBeforeBytes - neighbourBytes;
  return bytes > toleratedBytes ? { whose: 'unknown', bytes } : undefined;
}

function useOf({ isListed, bytes, bookedBytes }: BookedUse, driverTells: boolean): number {
  if (bytes !== undefined) return bytes;
  // One that a telling driver does not name has taken nothing yet. Of a silent one the booking is all that is known.
  return driverTells && !isListed ? 0 : bookedBytes;
}
