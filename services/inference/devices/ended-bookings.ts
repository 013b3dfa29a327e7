import type { Logger } from 'pino';
import type { Booking } from './booking.ts';
import { inWords } from './byte-words.ts';
import { heldBytes, memoryOf } from './device-memory.ts';
import type { DeviceScene } from './device-scene.ts';
import type { Ended, Entry } from './ledger.ts';
import { type BookedUse, type MemoryRest, memoryRest, toldUse } from './memory-return.ts';

/** What the bookings of ended starts are watched with. */
export interface EndedParts {
  readonly scene: DeviceScene;
  readonly log: Logger;
  /** See `DeviceBookOptions`. */
  readonly steadyMs: number;
  readonly release: (booking: Booking) => void;
}

/** Releases the bookings of starts that have ended, each when its memory is back and nothing of it is left. */
export class EndedBookings {
  readonly #parts: EndedParts;
  #driverTells = false;
  #settling: Promise<void> | undefined;

  constructor(parts: EndedParts) {
    this.#parts = parts;
  }

  /** Goes by the last reading; to be called after each. Never rejects. */
  settle(): Promise<void> {
    const { reading, ownProcesses } = this.#parts.scene.watch;
    this.#driverTells ||= reading.processes.some(
      ({ processId, usedBytes }) => usedBytes !== undefined && ownProcesses.has(processId),
    );
    this.#settling ??= this.#settle().finally(() => {
      this.#settling = undefined;
    });
    return this.#settling;
  }

  async #settle(): Promise<void> {
    const { scene, log, release } = this.#parts;
    for (const entry of scene.ledger.all) {
      if (!entry.ended) continue;
      const why = await this.#whyNotFree(entry, entry.ended);
      entry.ended.why = why ?? entry.ended.why;
      if (why !== undefined) continue;
      const { engine, devices } = entry.booking;
      log.info({ engine, devices }, 'the devices of an ended engine are free');
      release(entry.booking);
    }
  }

  /** In words. Undefined: its devices are free. */
  async #whyNotFree(entry: Entry, ended: Ended): Promise<string | undefined> {
    const { watch } = this.#parts.scene;
    if (entry.booking.bytes.size === 0) return undefined;
    const left = await ended.findLeft();
    if (left !== undefined) return left;
    const { gpus, isWhole, absent, problem } = watch.reading;
    const uuids = [...entry.booking.bytes.keys()];
    const isMissing = uuids.some((uuid) => gpus.every((gpu) => gpu.uuid !== uuid));
    if (isMissing && !isWhole && !absent) return `what it used cannot be read (${problem})`;
    const rests = uuids.flatMap((uuid) => this.#restOn(uuid, entry) ?? []);
    const bytes = rests.reduce((sum, rest) => sum + rest.bytes, 0);
    const mayBeOthers = problem === undefined && rests.every(({ whose }) => whose === 'unknown');
    if (bytes === 0 || (mayBeOthers && this.#belongsToOthers(entry, ended, bytes))) return undefined;
    return `${inWords(bytes)} of its memory are not back`;
  }

  #restOn(uuid: string, entry: Entry): MemoryRest | undefined {
    const { watch, ledger } = this.#parts.scene;
    const gpu = watch.reading.gpus.find((one) => one.uuid === uuid);
    // A device that is gone has nothing to give.
    if (!gpu) return undefined;
    const use = ({ booking }: Entry): BookedUse => ({
      ...toldUse(booking.mark, uuid, watch.reading, watch.ownProcesses),
      bookedBytes: booking.bytes.get(uuid) ?? 0,
    });
    return memoryRest({
      heldBytes: heldBytes(memoryOf(gpu, watch.reading, watch.ownProcesses)),
      heldBeforeBytes: ledger.heldBefore(uuid) ?? 0,
      ended: use(entry),
      neighbours: ledger
        .on(uuid)
        .filter(({ booking }) => booking !== entry.booking)
        .map(use),
      driverTells: this.#driverTells,
    });
  }

  /**
   * Whether memory that nobody is named for has stayed so long that it is not on its way back: programs that draw take
   * theirs meanwhile. Only where it will count as foreign; beside engines of which the driver tells nothing it would not.
   */
  #belongsToOthers({ booking }: Entry, ended: Ended, bytes: number): boolean {
    const { scene, log, steadyMs } = this.#parts;
    const nowMs = performance.now();
    if (!ended.rest || bytes < ended.rest.bytes) ended.rest = { bytes, sinceMs: nowMs };
    const isAlone = [...booking.bytes.keys()].every((uuid) => scene.ledger.on(uuid).length === 1);
    if (!(this.#driverTells || isAlone) || nowMs - ended.rest.sinceMs < steadyMs) return false;
    const { engine, devices } = booking;
    log.warn({ engine, devices, bytes }, 'the driver names nobody for memory on the devices of an ended engine');
    return true;
  }
}
