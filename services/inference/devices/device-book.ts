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
import { changesBetween } from './device-changes.ts';
import { heldBytes, memoryOf } from './device-memory.ts';
import { DeviceReader } from './device-reader.ts';
import { cpuMessage, type DeviceView, sliceMessages, viewDevices } from './device-view.ts';
import { readDriver } from './driver.ts';
import { type DriverReading, NO_DEVICES } from './gpu-reading.ts';
import { Ledger } from './ledger.ts';
import { type PlacementDecision, place } from './placement.ts';
import { exclusionBy } from './visible-devices.ts';
import { estimateMemory, type MemoryEstimate, type ModelUse } from './vram-estimate.ts';

export type * from './booking.ts';

const POLL_MS = 10_000;

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
  readonly #reader: DeviceReader;
  readonly #exclusion: ReturnType<typeof exclusionBy>;
  readonly #releaseListeners = new Set<() => void>();
  readonly #changeListeners = new Set<(change: DeviceChange) => void>();
  /** Our processes as of the last reading, and as of the look that is under way. */
  #own: ReadonlySet<number> = new Set();
  #ownNow: ReadonlySet<number> = new Set();
  /** The last reading that listed devices, or could have; `problem` is of the very last. */
  #before: DriverReading | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: DeviceBookOptions) {
    this.#options = options;
    const { environmentVariable } = options;
    this.#exclusion = exclusionBy(options.devices, environmentVariable('CUDA_VISIBLE_DEVICES'));
    this.#reader = new DeviceReader(
      () => this.#look(),
      (reading) => this.#onReading(reading),
    );
  }

  start(): void {
    if (this.#options.devices === 'none') return;
    void this.#reader.fresh().then(() => {
      // Where there is no driver none will appear while we run.
      if (this.#closed || this.#reading.absent) return;
      this.#timer = setInterval(() => void this.#reader.fresh(), this.#options.pollMs ?? POLL_MS).unref();
    });
  }

  async book(engine: string, demand: DeviceDemand): Promise<Booking | PlacementRefusal> {
    await this.#reader.fresh();
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
        await this.#reader.fresh();
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
    if (this.#isSilent) return entry.bytes.size === 0;
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
    this.#changeListeners.add(listener);
    return () => this.#changeListeners.delete(listener);
  }

  refresh(): Promise<void> {
    return this.#reader.fresh();
  }

  get problem(): string | undefined {
    return this.#reading.problem;
  }

  devices(): readonly Device[] {
    const devices = [...this.#views().map(({ message }) => message), ...sliceMessages(this.#reading)];
    return devices.length === 0 ? [cpuMessage(this.#ledger.onCpu())] : devices;
  }

  explain(demand: DeviceDemand, engine?: string): PlacementExplanation {
    const [entry] = engine === undefined ? [] : this.#ledger.of(engine);
    const views = this.#views();
    const decision = entry ? currentPlace(views, entry) : place(views, demand);
    const { outcome, why } = decision;
    return { fits: outcome !== 'refused', why, candidates: this.#candidates(decision, demand) };
  }

  estimate(use: ModelUse): Promise<MemoryEstimate | undefined> {
    return estimateMemory(use, this.#options.environmentVariable);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#reader.settled();
  }

  get #reading(): DriverReading {
    return this.#reader.latest ?? NO_DEVICES;
  }

  /** Whether the driver told of no device although there is one. */
  get #isSilent(): boolean {
    return this.#reading.gpus.length === 0 && this.problem !== undefined;
  }

  #views(): DeviceView[] {
    return viewDevices({
      reading: this.#reading,
      ownProcesses: this.#own,
      ledger: this.#ledger,
      exclusion: this.#exclusion,
      gone: this.#reader.gone,
      goneWhy: this.#isSilent ? `unreadable: ${this.problem}` : 'gone: the driver no longer lists it',
    });
  }

  #candidates(decision: PlacementDecision<DeviceView>, demand: DeviceDemand): PlacementCandidate[] {
    const cpu = cpuMessage(this.#ledger.onCpu());
    return candidatesOf(decision, {
      slices: sliceMessages(this.#reading),
      cpu: demand.fallsBackToCpu ? cpu : undefined,
    });
  }

  #heldBytes(uuid: string): number | undefined {
    const gpu = this.#reading.gpus.find((one) => one.uuid === uuid);
    return gpu && heldBytes(memoryOf(gpu, this.#reading, this.#own));
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
    const engines = (uuid: string) => (uuid === '' ? [] : this.#ledger.on(uuid).map(({ booking }) => booking.engine));
    const changes = changesBetween(before, reading, { engines, ownBefore, own: this.#own });
    this.#before = this.#isSilent ? { ...before, problem: reading.problem } : reading;
    for (const change of changes) {
      const level = change.kind === 'appeared' || change.kind === 'readable' ? 'info' : 'warn';
      this.#options.log[level]({ engines: change.engines }, change.what);
      for (const listener of this.#changeListeners) listener(change);
    }
  }
}
