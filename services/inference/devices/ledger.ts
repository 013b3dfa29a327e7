import type { Booking } from './booking.ts';

/** A booking as the ledger holds it: by UUID, because indices move when a device falls off the bus. */
export interface Entry {
  readonly booking: Booking;
  readonly shares: boolean;
  /** Bytes by UUID. */
  readonly bytes: ReadonlyMap<string, number>;
}

/** Who has booked how much of which device. Reads no device itself. */
export class Ledger {
  readonly #entries = new Map<Booking, Entry>();
  /** What each booked device held, in bytes, before its first booking. */
  readonly #heldBefore = new Map<string, number>();

  add(entry: Entry, heldBytes: (uuid: string) => number): void {
    for (const uuid of entry.bytes.keys()) {
      if (!this.#heldBefore.has(uuid)) this.#heldBefore.set(uuid, heldBytes(uuid));
    }
    this.#entries.set(entry.booking, entry);
  }

  /** @returns whether there was such a booking. */
  remove(booking: Booking): boolean {
    if (!this.#entries.delete(booking)) return false;
    for (const uuid of this.#heldBefore.keys()) if (this.on(uuid).length === 0) this.#heldBefore.delete(uuid);
    return true;
  }

  entryOf(booking: Booking): Entry | undefined {
    return this.#entries.get(booking);
  }

  /** The bookings of a device. */
  on(uuid: string): readonly Entry[] {
    return [...this.#entries.values()].filter(({ bytes }) => bytes.has(uuid));
  }

  /** The bookings of an engine. */
  of(engine: string): readonly Entry[] {
    return [...this.#entries.values()].filter(({ booking }) => booking.engine === engine);
  }

  /** The engines that run on no device. */
  onCpu(): readonly string[] {
    return [...this.#entries.values()].filter(({ bytes }) => bytes.size === 0).map(({ booking }) => booking.engine);
  }

  /** What a booked device held before its first booking, in bytes. Undefined: it is not booked. */
  heldBefore(uuid: string): number | undefined {
    return this.#heldBefore.get(uuid);
  }
}
