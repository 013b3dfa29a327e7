import type { DriverReading, GpuReading } from './gpu-reading.ts';

/** So many whole lists in a row without a device mean that it is gone. */
const READINGS_TO_BE_GONE = 2;

/** What one reading says about devices that come and go. */
export interface PresenceChange {
  readonly appeared: readonly GpuReading[];
  readonly gone: readonly GpuReading[];
}

/**
 * Which devices are there. A device is gone only when the driver has listed the others twice in a row without it: a list
 * that is not whole, as of a driver that is late or fails, says nothing about what it lacks.
 */
export class DevicePresence {
  /** By UUID, with the number of whole lists in a row that lack it. */
  readonly #present = new Map<string, { readonly gpu: GpuReading; missing: number }>();
  #isFirst = true;

  /** Takes the next reading. What the first one lists has not appeared; it was there. */
  see({ gpus, isWhole }: DriverReading): PresenceChange {
    const appeared = this.#isFirst ? [] : gpus.filter(({ uuid }) => !this.#present.has(uuid));
    this.#isFirst = false;
    const listed = new Set(gpus.map(({ uuid }) => uuid));
    const gone: GpuReading[] = [];
    for (const [uuid, known] of this.#present) {
      if (listed.has(uuid)) continue;
      known.missing = isWhole ? known.missing + 1 : 0;
      if (known.missing < READINGS_TO_BE_GONE) continue;
      this.#present.delete(uuid);
      gone.push(known.gpu);
    }
    for (const gpu of gpus) this.#present.set(gpu.uuid, { gpu, missing: 0 });
    return { appeared, gone };
  }
}
