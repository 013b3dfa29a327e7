import type { DriverReading, GpuReading } from './gpu-reading.ts';

/** The last look at the driver, and what it used to list. */
export class DeviceReader {
  readonly #read: () => Promise<DriverReading>;
  readonly #onReading: (reading: DriverReading) => void;
  readonly #known = new Map<string, GpuReading>();
  #reading: DriverReading | undefined;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  /** `read` must not reject. `onReading` gets every reading, after which `latest` and `gone` tell of it. */
  constructor(read: () => Promise<DriverReading>, onReading: (reading: DriverReading) => void) {
    this.#read = read;
    this.#onReading = onReading;
  }

  /** The last reading. Undefined: there was none. */
  get latest(): DriverReading | undefined {
    return this.#reading;
  }

  /** The devices that were listed once and are not any more. */
  get gone(): readonly GpuReading[] {
    const listed = new Set(this.#reading?.gpus.map(({ uuid }) => uuid));
    return [...this.#known.values()].filter(({ uuid }) => !listed.has(uuid));
  }

  /** Resolves after a look that began after this call. Calls that wait for the same look share it. */
  fresh(): Promise<void> {
    if (!this.#running) return this.#start();
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      return this.#start();
    });
    return this.#next;
  }

  #start(): Promise<void> {
    this.#running = this.#read().then((reading) => {
      this.#running = undefined;
      this.#reading = reading;
      for (const gpu of reading.gpus) this.#known.set(gpu.uuid, gpu);
      this.#onReading(reading);
    });
    return this.#running;
  }

  /** Resolves when no look is under way. */
  async settled(): Promise<void> {
    while (this.#running) await this.#running;
  }
}
