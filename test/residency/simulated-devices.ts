import type { Fits } from '../../services/inference/residency/residency-policy.ts';

/** What a model needs of the devices. */
export interface Need {
  /** Of each of its devices. */
  readonly gib: number;
  /** How many devices. Default 1. */
  readonly count?: number;
  /** The devices that it may have. Default: all. */
  readonly only?: readonly number[];
}

/** Devices with memory, which models take as placement would have them: where the least is left, else the first. */
export class SimulatedDevices {
  readonly #needs: ReadonlyMap<string, Need>;
  readonly #freeGib: number[];
  readonly #held: Map<string, ReadonlyMap<number, number>>;

  constructor(sizesGib: readonly number[], needs: ReadonlyMap<string, Need>, held?: SimulatedDevices) {
    this.#needs = needs;
    this.#freeGib = [...(held ? held.#freeGib : sizesGib)];
    this.#held = new Map(held ? held.#held : []);
  }

  /** The least that is free of any device. Below 0: more was taken than there is. */
  get leastFreeGib(): number {
    return Math.min(...this.#freeGib);
  }

  get isEmpty(): boolean {
    return this.#held.size === 0;
  }

  /** Takes what a model needs: what sleeps wakes where it is. @returns whether it was there; else nothing is taken. */
  take(name: string): boolean {
    const { gib, count = 1, only = this.#freeGib.keys().toArray() } = this.#need(name);
    const held = this.#held.get(name);
    const free = (device: number): number => (this.#freeGib[device] ?? 0) + (held?.get(device) ?? 0);
    const chosen = (held ? [...held.keys()] : [...only])
      .filter((device) => free(device) >= gib)
      .sort((one, other) => free(one) - free(other) || one - other)
      .slice(0, count);
    if (chosen.length < count) return false;
    this.give(name);
    this.hold(name, new Map(chosen.map((device) => [device, gib])));
    return true;
  }

  /** Leaves a model that falls asleep only so much of each of its devices. */
  shrink(name: string, gib: number): void {
    const devices = [...(this.#held.get(name)?.keys() ?? [])];
    this.give(name);
    this.hold(name, new Map(devices.map((device) => [device, gib])));
  }

  /** Gives back all that a model holds. */
  give(name: string): void {
    for (const [device, gib] of this.#held.get(name) ?? []) this.#freeGib[device] = (this.#freeGib[device] ?? 0) + gib;
    this.#held.delete(name);
  }

  /** Takes so much of these devices, whether it is there or not. */
  hold(name: string, gibByDevice: ReadonlyMap<number, number>): void {
    for (const [device, gib] of gibByDevice) this.#freeGib[device] = (this.#freeGib[device] ?? 0) - gib;
    this.#held.set(name, gibByDevice);
  }

  readonly fits: Fits = (plan) => {
    const trial = new SimulatedDevices([], this.#needs, this);
    return plan.every(({ come, leave }) => {
      for (const name of leave) trial.give(name);
      return trial.take(come);
    });
  };

  #need(name: string): Need {
    const need = this.#needs.get(name);
    if (!need) throw new Error(`no such model: ${name}`);
    return need;
  }
}
