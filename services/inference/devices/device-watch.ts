import type { DeviceBookOptions, DeviceChange } from './booking.ts';
import { changesBetween } from './device-changes.ts';
import { DevicePresence } from './device-presence.ts';
import { DeviceReader } from './device-reader.ts';
import { readDriver } from './driver.ts';
import { type DriverReading, type GpuReading, NO_DEVICES } from './gpu-reading.ts';

const POLL_MS = 10_000;

/** Looks at the driver, on demand and from time to time, and tells what has changed without us. */
export class DeviceWatch {
  readonly #options: DeviceBookOptions;
  readonly #reader: DeviceReader;
  readonly #enginesOn: (uuid: string) => readonly string[];
  readonly #onLook: () => void;
  readonly #presence = new DevicePresence();
  readonly #listeners = new Set<(change: DeviceChange) => void>();
  /** Our processes as of the last reading, and as of the look that is under way. */
  #own: ReadonlyMap<number, string> = new Map();
  #ownNow: ReadonlyMap<number, string> = new Map();
  /** The last reading that was not silent, with the `problem` of the very last. */
  #before: DriverReading | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** `enginesOn` names the engines that have booked a device, by its UUID. `onLook` is called after every look. */
  constructor(options: DeviceBookOptions, enginesOn: (uuid: string) => readonly string[], onLook: () => void) {
    this.#options = options;
    this.#enginesOn = enginesOn;
    this.#onLook = onLook;
    this.#reader = new DeviceReader(
      () => this.#look(),
      (reading) => {
        this.#onReading(reading);
        this.#onLook();
      },
    );
  }

  start(): void {
    if (this.#options.devices === 'none') return;
    void this.fresh().then(() => {
      // Where there is no driver none will appear while we run.
      if (this.#closed || this.reading.absent) return;
      this.#timer = setInterval(() => void this.fresh(), this.#options.pollMs ?? POLL_MS).unref();
    });
  }

  /** Resolves after a look that began after this call; never rejects. */
  fresh(): Promise<void> {
    return this.#reader.fresh();
  }

  /** The last reading; before the first, that of a machine without devices. */
  get reading(): DriverReading {
    return this.#reader.latest ?? NO_DEVICES;
  }

  /** The mark of every process of our engines, by its id, as of the last reading. */
  get ownProcesses(): ReadonlyMap<number, string> {
    return this.#own;
  }

  /** The devices that the driver listed once and does not any more. */
  get gone(): readonly GpuReading[] {
    return this.#reader.gone;
  }

  onChange(listener: (change: DeviceChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#reader.settled();
  }

  async #look(): Promise<DriverReading> {
    const { devices, environmentVariable, ownProcesses, log } = this.#options;
    if (devices === 'none') return NO_DEVICES;
    const reading = await readDriver(environmentVariable);
    if (reading.absent) return reading;
    try {
      // After the driver's answer: a process of ours that it names is in the table by then.
      this.#ownNow = await ownProcesses();
    } catch (error) {
      log.warn({ err: error }, 'our own processes cannot be told from others on the devices');
    }
    return reading;
  }

  #onReading(reading: DriverReading): void {
    if (reading.absent) return;
    const ownBefore = this.#own;
    this.#own = this.#ownNow;
    const before = this.#before ?? { ...reading, problem: undefined };
    const presence = this.#presence.see(reading);
    const parts = { engines: this.#enginesOn, ownBefore, own: this.#own, presence };
    const changes = changesBetween(before, reading, parts);
    const isSilent = reading.gpus.length === 0 && reading.problem !== undefined;
    this.#before = isSilent ? { ...before, problem: reading.problem } : reading;
    for (const change of changes) {
      const level = change.kind === 'appeared' || change.kind === 'readable' ? 'info' : 'warn';
      this.#options.log[level]({ engines: change.engines }, change.what);
      for (const listener of this.#listeners) listener(change);
    }
  }
}
