import type { Booking, FindLeft } from './booking.ts';
import type { RunIdentity } from './vram-ledger.ts';

/** What is known of a booking whose start has ended, and whose devices are not free yet. */
export interface Ended {
  /** Why they are not, in words. */
  why: string;
  readonly findLeft: FindLeft;
  /** Memory that nobody is named for: how much at least, and since when no less, on the clock of the process. */
  rest?: { readonly bytes: number; readonly sinceMs: number };
}

/** A booking as the ledger holds it. */
export interface Entry {
  readonly booking: Booking;
  readonly shares: boolean;
  /** By which what it takes is remembered. */
  readonly run?: RunIdentity | undefined;
  /** Whether its engine has loaded: what it takes then is what such a run takes. */
  readonly hasLoaded?: boolean | undefined;
  /** What it holds of each device while its engine sleeps, by UUID. Unset: it does not sleep. */
  readonly restingBytes?: ReadonlyMap<string, number> | undefined;
  /** Unset: its start is still to come, or runs. */
  readonly ended?: Ended;
}

/** Who has booked how much of which device, by UUID, because indices move when a device falls off the bus. Reads no device itself. */
export class Ledger {
  readonly #entries = new Map<Booking, Entry>();
  /** What each booked device held, in bytes, before its first booking. */
  readonly #heldBefore = new Map<string, number>();

  add(entry: Entry, heldBytes: (uuid: string) => number): void {
    for (const uuid of entry.booking.bytes.keys()) {
      if (!this.#heldBefore.has(uuid)) this.#heldBefore.set(uuid, heldBytes(uuid));
    }
    this.#entries.set(entry.booking, entry);
  }

  /** The start of a booking has ended; the devices stay booked until it is removed. */
  end(booking: Booking, ended: Ended): void {
    const entry = this.#entries.get(booking);
    if (entry) this.#entries.set(booking, { ...entry, ended });
  }

  /** The engine of a booking sleeps and holds so much by UUID; undefined: it does not sleep. */
  rest(booking: Booking, restingBytes: ReadonlyMap<string, number> | undefined): void {
    const entry = this.#entries.get(booking);
    if (entry) this.#entries.set(booking, { ...entry, restingBytes });
  }

  /** The engine of a booking has loaded. */
  setLoaded(booking: Booking): void {
    const entry = this.#entries.get(booking);
    if (entry) this.#entries.set(booking, { ...entry, hasLoaded: true });
  }

  entryOf(booking: Booking): Entry | undefined {
    return this.#entries.get(booking);
  }

  /** @returns whether there was such a booking. */
  remove(booking: Booking): boolean {
    if (!this.#entries.delete(booking)) return false;
    for (const uuid of this.#heldBefore.keys()) if (this.on(uuid).length === 0) this.#heldBefore.delete(uuid);
    return true;
  }

  has(booking: Booking): boolean {
    return this.#entries.has(booking);
  }

  get all(): readonly Entry[] {
    return [...this.#entries.values()];
  }

  /** The bookings of a device. */
  on(uuid: string): readonly Entry[] {
    return this.all.filter(({ booking }) => booking.bytes.has(uuid));
  }

  /** The place of an engine. Undefined: it has none. */
  placeOf(engine: string): Entry | undefined {
    return this.all.find(({ booking, ended }) => booking.engine === engine && !ended);
  }

  /** The engines that run on no device. */
  onCpu(): readonly string[] {
    return this.all.filter(({ booking }) => booking.bytes.size === 0).map(({ booking }) => booking.engine);
  }

  /** What a booked device held before its first booking, in bytes. Undefined: it is not booked. */
  heldBefore(uuid: string): number | undefined {
    return this.#heldBefore.get(uuid);
  }
}
