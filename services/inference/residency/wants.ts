import type { Logger } from 'pino';
import type { DeviceBook } from '../devices/device-book.ts';
import type { PlanStep } from '../devices/would-fit.ts';
import type { DeviceDemand } from '../engines/engine.ts';
import type { ModelSlot } from './model-slot.ts';
import type { ResidentView, Step } from './residency-policy.ts';
import type { Waiting } from './waiting.ts';

/** What the wants of models are learnt from. */
export interface WantsParts {
  /** The models of the node; more may come. */
  readonly slots: ReadonlyMap<string, ModelSlot>;
  readonly devices: Pick<DeviceBook, 'fits' | 'refresh'>;
  /** Who waits for a model. Undefined: nobody ever has. */
  readonly waitingFor: (name: string) => Waiting | undefined;
  /** Called when it is known what a model needs. */
  readonly onLearnt: () => void;
  readonly log: Logger;
}

/** Which models are wanted, and what they need of the devices. */
export class Wants {
  readonly #parts: WantsParts;
  /** What a model that waits needs of the devices. Undefined: nothing, or that cannot be told before it runs. */
  readonly #demands = new Map<string, DeviceDemand | undefined>();
  /** Since when those wait for room that nobody asked for but the configuration. */
  readonly #roomWantedSinceMs = new Map<string, number>();

  constructor(parts: WantsParts) {
    this.#parts = parts;
  }

  /** What a model needs of the devices, as it was learnt last. */
  demandOf(name: string): DeviceDemand | undefined {
    return this.#demands.get(name);
  }

  /** Whether it is known what a model needs. */
  knows(name: string): boolean {
    return this.#demands.has(name);
  }

  forget(name: string): void {
    this.#demands.delete(name);
  }

  /** Every model that is ours to start, as the policy sees it. */
  views(nowMs: number): ResidentView[] {
    return [...this.#parts.slots.values()].filter((slot) => slot.isStarted).map((slot) => this.#view(slot, nowMs));
  }

  #view(slot: ModelSlot, nowMs: number): ResidentView {
    const { name, entry, waitsForRoom } = slot;
    const waiting = this.#parts.waitingFor(name);
    const ttlSeconds = 'ttl_seconds' in entry ? entry.ttl_seconds : undefined;
    return {
      name,
      onDemand: slot.onDemand,
      phase: waitsForRoom ? 'absent' : slot.phase,
      ...this.#wanted(slot, waiting, nowMs),
      running: slot.status.load.running,
      readyAtMs: slot.readyAtMs,
      idleSinceMs: slot.idleSinceMs,
      ttlMs: ttlSeconds === undefined ? undefined : ttlSeconds * 1_000,
    };
  }

  #wanted(
    slot: ModelSlot,
    waiting: Waiting | undefined,
    nowMs: number,
  ): Pick<ResidentView, 'waiting' | 'waitingSinceMs'> {
    const { name, waitsForRoom } = slot;
    if (!waitsForRoom) this.#roomWantedSinceMs.delete(name);
    const count = waiting?.count ?? 0;
    if (count > 0) {
      // Until it is known what it needs there is nothing to decide.
      return this.#demands.has(name)
        ? { waiting: count, waitingSinceMs: waiting?.sinceMs }
        : { waiting: 0, waitingSinceMs: undefined };
    }
    if (!waitsForRoom || slot.onDemand) return { waiting: 0, waitingSinceMs: undefined };
    const sinceMs = this.#roomWantedSinceMs.get(name) ?? nowMs;
    this.#roomWantedSinceMs.set(name, sinceMs);
    if (!this.#demands.has(name)) void this.learn(slot);
    return this.#demands.has(name)
      ? { waiting: 1, waitingSinceMs: sinceMs }
      : { waiting: 0, waitingSinceMs: undefined };
  }

  /** Whether at each step of a plan who comes would get a place on the devices. */
  fit(plan: readonly Step[]): boolean {
    const unplaced = [...this.#parts.slots.values()].filter(({ isUnplaced }) => isUnplaced);
    const steps = [...unplaced.map(({ name }) => ({ come: name, leave: [] })), ...plan];
    return this.#parts.devices.fits(steps.map((step) => this.#planStep(step)));
  }

  /** One that sleeps wakes where it is, in its own place. */
  #planStep({ come, leave }: Step): PlanStep {
    const demand = this.#demands.get(come);
    const slot = this.#parts.slots.get(come);
    if (!demand || slot?.phase !== 'asleep') return { engine: come, come: demand, leave };
    return { engine: come, come: { ...demand, indices: slot.engine.devices }, leave: [...leave, come] };
  }

  /** Learns what a model needs; until then nothing is decided about it. Never rejects. */
  async learn(slot: ModelSlot): Promise<void> {
    let demand: DeviceDemand | undefined;
    try {
      demand = await slot.demand();
    } catch (error) {
      // Its start will fail of the same and tell everybody why.
      this.#parts.log.debug({ engine: slot.name, err: error }, 'what a model needs cannot be told');
    }
    await this.#parts.devices.refresh();
    this.#demands.set(slot.name, demand);
    this.#parts.onLearnt();
  }
}
