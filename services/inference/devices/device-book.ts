import { setTimeout as delay } from 'node:timers/promises';
import type { Device } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { DeviceDemand } from '../engines/engine.ts';
import { bookPlace } from './booker.ts';
import type {
  Booking,
  DeviceBook,
  DeviceBookOptions,
  DeviceChange,
  FindLeft,
  LeftEngine,
  PlacementCandidate,
  PlacementExplanation,
  PlacementRefusal,
} from './booking.ts';
import { candidatesOf, currentPlace } from './candidates.ts';
import { DeviceScene } from './device-scene.ts';
import { cpuMessage, type DeviceView, sliceMessages } from './device-view.ts';
import { EndedBookings } from './ended-bookings.ts';
import { ClaimsUnusableError } from './host-claims.ts';
import type { Ended } from './ledger.ts';
import { measuredDemand } from './measured-demand.ts';
import { toldUse } from './memory-return.ts';
import { type PlacementDecision, place } from './placement.ts';
import { restBooking, restoreBooking } from './resting.ts';
import { estimateMemory, type MemoryEstimate, type ModelUse } from './vram-estimate.ts';
import { type PlanStep, wouldFit } from './would-fit.ts';

export type * from './booking.ts';

/** Between two looks while memory is waited for, in milliseconds. */
const BACK_POLL_MS = 250;

const STEADY_MS = 60_000;

/**
 * Makes the book of this node's devices. Runs nothing before it is used.
 *
 * @throws ConfigError when MESH_DEVICE_CLAIMS_DIR is no absolute path.
 */
export function createDeviceBook(options: DeviceBookOptions): DeviceBook {
  return new DriverDeviceBook(options);
}

/** The book of the devices that the driver lists. */
class DriverDeviceBook implements DeviceBook {
  readonly #options: DeviceBookOptions;
  readonly #scene: DeviceScene;
  readonly #ended: EndedBookings;
  readonly #releaseListeners = new Set<() => void>();
  /** What follows the last look at the driver. */
  #following: Promise<void> = Promise.resolve();

  constructor(options: DeviceBookOptions) {
    const { steadyMs = STEADY_MS, log } = options;
    this.#options = options;
    this.#scene = new DeviceScene(options, () => {
      this.#following = this.#follow();
    });
    const release = (booking: Booking): void => this.release(booking);
    this.#ended = new EndedBookings({ scene: this.#scene, log, steadyMs, release });
  }

  start(): void {
    this.#scene.watch.start();
  }

  async book(engine: string, wanted: DeviceDemand): Promise<Booking | PlacementRefusal> {
    await this.refresh();
    const demand = this.#measured(wanted);
    try {
      const { decision, booking } = await bookPlace(this.#scene, engine, demand);
      if (!booking) return this.#refusal(engine, decision, demand);
      this.#options.log.info({ engine, devices: booking.devices }, `placed ${decision.why}`);
      return booking;
    } catch (error) {
      if (!(error instanceof ClaimsUnusableError)) throw error;
      return { refused: true, why: `'${engine}': ${error.message}`, candidates: this.explain(demand).candidates };
    }
  }

  release(booking: Booking): void {
    if (!this.#scene.ledger.remove(booking)) return;
    this.#scene.renew();
    this.#tellOfRelease();
  }

  async giveBack(booking: Booking, limitMs: number, findLeft: FindLeft): Promise<string | undefined> {
    const { ledger } = this.#scene;
    const ended: Ended = { why: 'its memory is not back yet', findLeft };
    ledger.end(booking, ended);
    const late = new AbortController();
    const limit = delay(limitMs, undefined, { signal: late.signal, ref: false }).catch(() => {});
    const free = async (): Promise<void> => {
      while (!late.signal.aborted && ledger.has(booking)) {
        await this.refresh();
        if (ledger.has(booking)) await delay(BACK_POLL_MS);
      }
    };
    await Promise.race([free(), limit]);
    late.abort();
    return ledger.has(booking) ? ended.why : undefined;
  }

  async loaded(booking: Booking): Promise<void> {
    const { ledger } = this.#scene;
    const run = ledger.entryOf(booking)?.run;
    if (run) this.#options.vramLedger?.begin(run);
    ledger.setLoaded(booking);
    await this.refresh();
  }

  async rest(booking: Booking): Promise<void> {
    await this.refresh();
    restBooking(this.#scene, booking);
    for (const listener of this.#releaseListeners) listener();
  }

  async restore(booking: Booking): Promise<string | undefined> {
    await this.refresh();
    try {
      return await restoreBooking(this.#scene, booking);
    } catch (error) {
      if (error instanceof ClaimsUnusableError) return error.message;
      throw error;
    }
  }

  async block({ engine, mark, bytes, findLeft }: LeftEngine): Promise<void> {
    await this.refresh();
    const gpus = this.#scene.watch.reading.gpus.filter(({ uuid }) => bytes.has(uuid));
    const booking: Booking = { engine, mark, devices: gpus.map(({ index }) => index), bytes };
    const why = 'an earlier run has left it';
    this.#scene.add({ booking, shares: false, ended: { why, findLeft } });
    this.#scene.renew();
  }

  get marks(): readonly string[] {
    return this.#scene.ledger.all.map(({ booking }) => booking.mark);
  }

  onRelease(listener: () => void): () => void {
    this.#releaseListeners.add(listener);
    return () => this.#releaseListeners.delete(listener);
  }

  onChange(listener: (change: DeviceChange) => void): () => void {
    return this.#scene.watch.onChange(listener);
  }

  async refresh(): Promise<void> {
    await this.#scene.watch.fresh();
    await this.#following;
  }

  get problem(): string | undefined {
    return this.#scene.watch.reading.problem;
  }

  devices(): readonly Device[] {
    const { watch, ledger } = this.#scene;
    const devices = [...this.#scene.views().map(({ message }) => message), ...sliceMessages(watch.reading)];
    return devices.length === 0 ? [cpuMessage(ledger.onCpu())] : devices;
  }

  explain(wanted: DeviceDemand, engine?: string): PlacementExplanation {
    const demand = this.#measured(wanted);
    const entry = engine === undefined ? undefined : this.#scene.ledger.placeOf(engine);
    const views = this.#scene.views();
    const decision = entry ? currentPlace(views, entry) : place(views, demand);
    const { outcome, why } = decision;
    return { fits: outcome !== 'refused', why, candidates: this.#candidates(decision, demand) };
  }

  fits(plan: readonly PlanStep[]): boolean {
    const measured = plan.map((step) => ({ ...step, come: step.come && this.#measured(step.come) }));
    return wouldFit(this.#scene.views(), measured);
  }

  estimate(use: ModelUse): Promise<MemoryEstimate | undefined> {
    return estimateMemory(use, this.#options.environmentVariable);
  }

  async close(): Promise<void> {
    await this.#scene.watch.close();
    await this.#following;
    this.#scene.close();
  }

  #measured(demand: DeviceDemand): DeviceDemand {
    return demand.run ? measuredDemand(demand, this.#options.vramLedger?.measuredBytes(demand.run)) : demand;
  }

  async #follow(): Promise<void> {
    this.#measure();
    const before = this.#scene.others;
    // What goes wrong is told by the views.
    const others = await this.#scene.lookAtClaims().catch(() => before);
    const marks = new Set(others.map(({ mark }) => mark));
    if (before.some(({ mark }) => !marks.has(mark))) this.#tellOfRelease();
    await this.#ended.settle();
    this.#scene.renew();
  }

  /** Remembers what engines take, by the last reading: of each the most on one of its devices. */
  #measure(): void {
    const { vramLedger } = this.#options;
    const { ledger, watch } = this.#scene;
    for (const { booking, run, hasLoaded, ended, restingBytes } of vramLedger ? ledger.all : []) {
      // While it loads it has taken only a part.
      if (!run || !hasLoaded || ended || restingBytes) continue;
      const uses = [...booking.bytes.keys()].map((uuid) =>
        toldUse(booking.mark, uuid, watch.reading, watch.ownProcesses),
      );
      vramLedger?.record(run, Math.max(0, ...uses.map(({ bytes }) => bytes ?? 0)));
    }
  }

  #tellOfRelease(): void {
    for (const listener of this.#releaseListeners) listener();
  }

  #refusal(engine: string, decision: PlacementDecision<DeviceView>, demand: DeviceDemand): PlacementRefusal {
    const problem = decision.verdicts.length === 0 && this.problem !== undefined ? ` (${this.problem})` : '';
    const why = `'${engine}': ${decision.why}${problem}`;
    return { refused: true, why, candidates: this.#candidates(decision, demand) };
  }

  #candidates(decision: PlacementDecision<DeviceView>, demand: DeviceDemand): PlacementCandidate[] {
    const { watch, ledger } = this.#scene;
    const cpu = demand.fallsBackToCpu ? cpuMessage(ledger.onCpu()) : undefined;
    return candidatesOf(decision, { slices: sliceMessages(watch.reading), cpu });
  }
}
