import { setTimeout as delay } from 'node:timers/promises';
import type { Device } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { DeviceDemand } from '../engines/engine.ts';
import type {
  Booking,
  DeviceBook,
  DeviceBookOptions,
  DeviceChange,
  PlacementCandidate,
  PlacementExplanation,
  PlacementRefusal,
} from './booking.ts';
import { candidatesOf, currentPlace } from './candidates.ts';
import { heldBytes, memoryOf } from './device-memory.ts';
import { cpuMessage, type DeviceView, sliceMessages, viewDevices } from './device-view.ts';
import { DeviceWatch } from './device-watch.ts';
import { Ledger } from './ledger.ts';
import { type PlacementDecision, place } from './placement.ts';
import { type Exclusion, exclusionBy } from './visible-devices.ts';
import { estimateMemory, type MemoryEstimate, type ModelUse } from './vram-estimate.ts';
import { type PlanStep, wouldFit } from './would-fit.ts';

export type * from './booking.ts';

/** Between two looks while memory is waited for, in milliseconds. */
const BACK_POLL_MS = 250;

/** What may be left of a booking when its memory counts as back. */
const BACK_TOLERANCE = 0.05;

/** Makes the book of this node's devices. Runs nothing before it is used. */
export function createDeviceBook(options: DeviceBookOptions): DeviceBook {
  return new DriverDeviceBook(options);
}

/** The book of the devices that the driver lists. Decisions and bookings are made without an await between them. */
class DriverDeviceBook implements DeviceBook {
  readonly #options: DeviceBookOptions;
  readonly #ledger = new Ledger();
  readonly #watch: DeviceWatch;
  readonly #exclusion: Exclusion;
  readonly #releaseListeners = new Set<() => void>();

  constructor(options: DeviceBookOptions) {
    this.#options = options;
    this.#exclusion = exclusionBy(options.devices, options.environmentVariable('CUDA_VISIBLE_DEVICES'));
    this.#watch = new DeviceWatch(options, (uuid) => this.#ledger.on(uuid).map(({ booking }) => booking.engine));
  }

  start(): void {
    this.#watch.start();
  }

  async book(engine: string, demand: DeviceDemand): Promise<Booking | PlacementRefusal> {
    await this.#watch.fresh();
    const views = this.#views();
    const decision = place(views, demand);
    if (decision.outcome === 'refused') {
      const problem = views.length === 0 && this.problem !== undefined ? ` (${this.problem})` : '';
      const why = `'${engine}': ${decision.why}${problem}`;
      return { refused: true, why, candidates: this.#candidates(decision, demand) };
    }
    const bytes = new Map(decision.chosen.map(({ device, claimBytes }) => [device.uuid, claimBytes]));
    const booking: Booking = {
      engine,
      devices: decision.chosen.map(({ device }) => device.index),
      bytes: new Map(decision.chosen.map(({ device, claimBytes }) => [device.index, claimBytes])),
    };
    this.#ledger.add({ booking, shares: demand.shares, bytes }, (uuid) => this.#heldBytes(uuid) ?? 0);
    this.#options.log.info({ engine, devices: booking.devices }, `placed ${decision.why}`);
    return booking;
  }

  async untilBack(booking: Booking, limitMs: number): Promise<boolean> {
    const late = new AbortController();
    const limit = delay(limitMs, false, { signal: late.signal, ref: false }).catch(() => false);
    const back = async (): Promise<boolean> => {
      while (!late.signal.aborted) {
        await this.#watch.fresh();
        if (this.#isBack(booking)) return true;
        await delay(BACK_POLL_MS);
      }
      return false;
    };
    try {
      return await Promise.race([back(), limit]);
    } finally {
      late.abort();
    }
  }

  #isBack(booking: Booking): boolean {
    const entry = this.#ledger.entryOf(booking);
    if (!entry) return true;
    // What cannot be read is not back; a device that is gone has nothing to give.
    if (this.#watch.isSilent) return entry.bytes.size === 0;
    return [...entry.bytes].every(([uuid, bytes]) => {
      const held = this.#heldBytes(uuid);
      if (held === undefined) return true;
      const others = this.#ledger.on(uuid).filter((other) => other !== entry);
      const othersBytes = others.reduce((sum, other) => sum + (other.bytes.get(uuid) ?? 0), 0);
      return held <= (this.#ledger.heldBefore(uuid) ?? 0) + othersBytes + bytes * BACK_TOLERANCE;
    });
  }

  release(booking: Booking): void {
    if (!this.#ledger.remove(booking)) return;
    for (const listener of this.#releaseListeners) listener();
  }

  onRelease(listener: () => void): () => void {
    this.#releaseListeners.add(listener);
    return () => this.#releaseListeners.delete(listener);
  }

  onChange(listener: (change: DeviceChange) => void): () => void {
    return this.#watch.onChange(listener);
  }

  refresh(): Promise<void> {
    return this.#watch.fresh();
  }

  get problem(): string | undefined {
    return this.#watch.reading.problem;
  }

  devices(): readonly Device[] {
    const devices = [...this.#views().map(({ message }) => message), ...sliceMessages(this.#watch.reading)];
    return devices.length === 0 ? [cpuMessage(this.#ledger.onCpu())] : devices;
  }

  explain(demand: DeviceDemand, engine?: string): PlacementExplanation {
    const [entry] = engine === undefined ? [] : this.#ledger.of(engine);
    const views = this.#views();
    const decision = entry ? currentPlace(views, entry) : place(views, demand);
    const { outcome, why } = decision;
    return { fits: outcome !== 'refused', why, candidates: this.#candidates(decision, demand) };
  }

  fits(plan: readonly PlanStep[]): boolean {
    return wouldFit(this.#views(), plan);
  }

  estimate(use: ModelUse): Promise<MemoryEstimate | undefined> {
    return estimateMemory(use, this.#options.environmentVariable);
  }

  close(): Promise<void> {
    return this.#watch.close();
  }

  #views(): DeviceView[] {
    return viewDevices({
      reading: this.#watch.reading,
      ownProcesses: this.#watch.ownProcesses,
      ledger: this.#ledger,
      exclusion: this.#exclusion,
      gone: this.#watch.gone,
      goneWhy: this.#watch.isSilent ? `unreadable: ${this.problem}` : 'gone: the driver no longer lists it',
    });
  }

  #candidates(decision: PlacementDecision<DeviceView>, demand: DeviceDemand): PlacementCandidate[] {
    const cpu = cpuMessage(this.#ledger.onCpu());
    return candidatesOf(decision, {
      slices: sliceMessages(this.#watch.reading),
      cpu: demand.fallsBackToCpu ? cpu : undefined,
    });
  }

  #heldBytes(uuid: string): number | undefined {
    const gpu = this.#watch.reading.gpus.find((one) => one.uuid === uuid);
    return gpu && heldBytes(memoryOf(gpu, this.#watch.reading, this.#watch.ownProcesses));
  }
}
