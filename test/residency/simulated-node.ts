import { isDeepStrictEqual } from 'node:util';
import type {
  decideResidency,
  ResidencyDecision,
  ResidencyRules,
  ResidentView,
} from '../../services/inference/residency/residency-policy.ts';
import { type Need, SimulatedDevices } from './simulated-devices.ts';

/** A model of a simulated node. */
export interface SimulatedModel extends Need {
  readonly name: string;
  readonly onDemand: boolean;
  readonly loadMs: number;
  readonly unloadMs: number;
  readonly ttlMs?: number | undefined;
  /** What it keeps of each device when it falls asleep instead of stopping. Unset: it stops. */
  readonly asleepGib?: number | undefined;
}

/** Something that happens at a moment: a request, a crash, or an operator who unloads a model. */
export interface Happening {
  readonly atMs: number;
  readonly model: string;
  readonly what: 'request' | 'crash' | 'unload';
  /** Of a request: how long it runs. */
  readonly streamMs: number;
  /** Of a request: how long it waits at most. Unset: for ever. */
  readonly patienceMs?: number | undefined;
}

/** A course of events, from an empty node on. */
export interface Scenario {
  readonly sizesGib: readonly number[];
  readonly models: readonly SimulatedModel[];
  readonly happenings: readonly Happening[];
  readonly rules: ResidencyRules;
  /** When it is over. */
  readonly endMs: number;
}

/** What came of it. */
export interface Outcome {
  /** What must never happen, in words. It ends the scenario. */
  readonly violations: readonly string[];
  readonly served: number;
  readonly gaveUp: number;
  readonly refused: number;
  readonly loads: number;
  /** Ready models that made room for another one. */
  readonly swaps: number;
  readonly expired: number;
  readonly decisions: number;
  readonly longestWaitMs: number;
  /** The longest wait, as part of what it may be. */
  readonly longestWaitShare: number;
}

interface Request {
  readonly sinceMs: number;
  readonly streamMs: number;
}

interface Slot {
  readonly model: SimulatedModel;
  phase: ResidentView['phase'];
  waiting: Request[];
  waitingSinceMs: number | undefined;
  running: number;
  /** Counts what was begun: what ends later than its residency does nothing. */
  residency: number;
  readyAtMs: number | undefined;
  idleSinceMs: number | undefined;
}

type Policy = typeof decideResidency;

/** More decisions than this without the clock moving: it does not settle. */
const ROUNDS_LIMIT = 100;

/** Plays a scenario on a virtual clock and carries out what the policy says. */
export function simulate(scenario: Scenario, policy: Policy): Outcome {
  return new SimulatedNode(scenario, policy).run();
}

class SimulatedNode {
  readonly #scenario: Scenario;
  readonly #policy: Policy;
  readonly #slots: ReadonlyMap<string, Slot>;
  readonly #devices: SimulatedDevices;
  /** As they are when only what never goes is there. */
  readonly #emptied: SimulatedDevices;
  readonly #boundMs: number;
  readonly #agenda: { atMs: number; happen: () => void }[] = [];
  readonly #violations = new Set<string>();
  readonly #count = { served: 0, gaveUp: 0, refused: 0, loads: 0, swaps: 0, expired: 0, decisions: 0 };
  #nowMs = 0;
  #timer = 0;
  #longestWaitMs = 0;

  constructor(scenario: Scenario, policy: Policy) {
    this.#scenario = scenario;
    this.#policy = policy;
    const { models, sizesGib, rules, happenings } = scenario;
    this.#slots = new Map(models.map((model) => [model.name, slotFor(model)]));
    const needs = new Map(models.map((model) => [model.name, model]));
    this.#devices = new SimulatedDevices(sizesGib, needs);
    for (const { model } of this.#slots.values()) if (!model.onDemand) this.#start(model.name);
    this.#emptied = new SimulatedDevices(sizesGib, needs, this.#devices);
    const most = (durations: readonly number[]): number => Math.max(0, ...durations);
    // It leaves, and then each of the others comes before it, once.
    const cycleMs =
      rules.minStayMs +
      rules.turnMs +
      most(happenings.map(({ streamMs }) => streamMs)) +
      most(models.map(({ loadMs }) => loadMs)) +
      2 * most(models.map(({ unloadMs }) => unloadMs));
    this.#boundMs = (models.length + 1) * cycleMs;
  }

  run(): Outcome {
    const { happenings, endMs } = this.#scenario;
    for (const happening of happenings) this.#at(happening.atMs, () => this.#happen(happening));
    for (;;) {
      const next = this.#agenda.shift();
      if (!next || next.atMs > endMs) break;
      this.#nowMs = next.atMs;
      next.happen();
      this.#look();
      if (this.#devices.leastFreeGib < 0) this.#violated('more memory is taken than there is');
      // What follows is no node any more.
      if (this.#violations.size > 0) break;
    }
    if (this.#violations.size === 0) this.#checkEnd();
    const longestWaitMs = this.#longestWaitMs;
    return {
      violations: [...this.#violations],
      ...this.#count,
      longestWaitMs,
      longestWaitShare: longestWaitMs / this.#boundMs,
    };
  }

  #checkEnd(): void {
    for (const { model, waiting, phase } of this.#slots.values()) {
      if (waiting.length > 0) this.#violated(`${model.name} starves: ${waiting.length} requests were never served`);
      if (model.onDemand && model.ttlMs !== undefined && phase !== 'absent' && phase !== 'asleep') {
        this.#violated(`${model.name} is idle for ever: ${phase}`);
      }
    }
  }

  #happen({ model: name, what, streamMs, patienceMs }: Happening): void {
    const slot = this.#slot(name);
    if (what === 'crash') this.#crash(slot);
    else if (what === 'unload') this.#unloadByHand(slot);
    else {
      const request = { sinceMs: this.#nowMs, streamMs };
      slot.waitingSinceMs ??= this.#nowMs;
      slot.waiting.push(request);
      if (patienceMs !== undefined) this.#at(this.#nowMs + patienceMs, () => this.#giveUp(slot, request));
    }
  }

  #giveUp(slot: Slot, request: Request): void {
    if (!slot.waiting.includes(request)) return;
    this.#count.gaveUp++;
    slot.waiting = slot.waiting.filter((one) => one !== request);
    if (slot.waiting.length === 0) slot.waitingSinceMs = undefined;
  }

  #crash(slot: Slot): void {
    if (slot.phase !== 'ready' && slot.phase !== 'loading') return;
    slot.phase = 'failed';
    slot.running = 0;
    this.#sendAway(slot);
    const residency = ++slot.residency;
    this.#at(this.#nowMs + slot.model.unloadMs, () => this.#gone(slot, residency));
  }

  #unloadByHand(slot: Slot): void {
    if (slot.phase !== 'ready' || !slot.model.onDemand) return;
    slot.phase = 'leaving';
    if (slot.running === 0) this.#at(this.#nowMs + slot.model.unloadMs, () => this.#gone(slot, slot.residency));
  }

  #gone(slot: Slot, residency: number): void {
    if (slot.residency !== residency) return;
    this.#devices.give(slot.model.name);
    Object.assign(slot, { phase: 'absent', readyAtMs: undefined, idleSinceMs: undefined, residency: residency + 1 });
    if (!slot.model.onDemand) this.#start(slot.model.name);
  }

  /** Decides, and carries out, until nothing more is to be done at this moment. */
  #look(): void {
    for (let round = 0; round < ROUNDS_LIMIT; round++) {
      const decision = this.#decide();
      if (this.#carryOut(decision)) continue;
      const timer = ++this.#timer;
      const { againAtMs } = decision;
      // Looking again is all that it does.
      if (againAtMs !== undefined)
        this.#at(
          againAtMs,
          () => {},
          () => timer === this.#timer,
        );
      return;
    }
    this.#violated('the decision does not settle');
  }

  #decide(): ResidencyDecision {
    const views = [...this.#slots.values()].map(viewOf);
    const { rules } = this.#scenario;
    const decideAt = (atMs: number): ResidencyDecision => this.#policy(views, atMs, rules, this.#devices.fits);
    const decision = decideAt(this.#nowMs);
    this.#count.decisions++;
    const { againAtMs } = decision;
    // Now and then, for it takes long.
    if (this.#count.decisions % 20 === 0) {
      const lastMs = againAtMs === undefined ? this.#nowMs + 10_000_000 : againAtMs - 1;
      if (!isSame(decideAt(lastMs), decision)) this.#violated('the decision changes before its time');
      if (againAtMs !== undefined && isSame(decideAt(againAtMs), decision)) this.#violated('time changes nothing');
    }
    if (againAtMs !== undefined && againAtMs <= this.#nowMs) this.#violated('to be asked again at once');
    return decision;
  }

  /** @returns whether anything was done */
  #carryOut({ load, unload, closed, refused }: ResidencyDecision): boolean {
    for (const { name, why } of unload) this.#unload(this.#slot(name), why.startsWith('idle'));
    for (const name of load) this.#start(name);
    for (const name of refused) this.#refuse(this.#slot(name));
    for (const name of closed) this.#checkClosed(this.#slot(name));
    let admitted = false;
    for (const slot of this.#slots.values()) {
      if (slot.phase !== 'ready' || slot.waiting.length === 0 || closed.includes(slot.model.name)) continue;
      for (const request of slot.waiting) this.#admit(slot, request);
      slot.waiting = [];
      slot.waitingSinceMs = undefined;
      admitted = true;
    }
    return admitted || load.length + unload.length + refused.length > 0;
  }

  #admit(slot: Slot, { sinceMs, streamMs }: Request): void {
    const waitedMs = this.#nowMs - sinceMs;
    this.#longestWaitMs = Math.max(this.#longestWaitMs, waitedMs);
    if (waitedMs > this.#boundMs) this.#violated(`${slot.model.name} starves: longer than ${this.#boundMs} ms`);
    slot.running++;
    const { residency } = slot;
    this.#at(this.#nowMs + streamMs, () => {
      if (slot.residency !== residency || slot.running === 0) return;
      this.#count.served++;
      slot.running--;
      if (slot.running > 0) return;
      slot.idleSinceMs = this.#nowMs;
      if (slot.phase === 'leaving') this.#at(this.#nowMs + slot.model.unloadMs, () => this.#gone(slot, residency));
    });
  }

  #start(name: string): void {
    const slot = this.#slot(name);
    if (slot.phase !== 'absent' && slot.phase !== 'asleep') this.#violated(`${name} is loaded while ${slot.phase}`);
    if (!this.#devices.take(name)) {
      this.#violated(`${name} is loaded where there is no room`);
      return;
    }
    this.#count.loads++;
    slot.phase = 'loading';
    const residency = ++slot.residency;
    this.#at(this.#nowMs + slot.model.loadMs, () => {
      if (slot.residency !== residency || slot.phase !== 'loading') return;
      Object.assign(slot, { phase: 'ready', readyAtMs: this.#nowMs, idleSinceMs: this.#nowMs });
    });
  }

  #unload(slot: Slot, isExpired: boolean): void {
    const { model, phase, running, readyAtMs = 0, residency } = slot;
    if (running > 0) this.#violated(`${model.name} is unloaded while it runs something`);
    if (!model.onDemand) this.#violated(`${model.name} is unloaded and is not on demand`);
    if (phase !== 'ready' && phase !== 'asleep') this.#violated(`${model.name} is unloaded while ${phase}`);
    if (isExpired) this.#count.expired++;
    else if (phase === 'ready') {
      this.#count.swaps++;
      if (this.#nowMs < readyAtMs + this.#scenario.rules.minStayMs) this.#violated(`${model.name} thrashes`);
    }
    slot.phase = 'leaving';
    this.#at(this.#nowMs + model.unloadMs, () => {
      if (slot.residency !== residency) return;
      if (phase === 'asleep' || model.asleepGib === undefined) this.#gone(slot, residency);
      else {
        this.#devices.shrink(model.name, model.asleepGib);
        Object.assign(slot, { phase: 'asleep', readyAtMs: undefined });
      }
    });
  }

  #refuse(slot: Slot): void {
    if (this.#emptied.fits([{ come: slot.model.name, leave: [] }])) {
      this.#violated(`${slot.model.name} is refused and would fit`);
    }
    this.#sendAway(slot);
  }

  #sendAway(slot: Slot): void {
    this.#count.refused += slot.waiting.length;
    slot.waiting = [];
    slot.waitingSinceMs = undefined;
  }

  #checkClosed({ model, phase, readyAtMs = 0 }: Slot): void {
    const { minStayMs, turnMs } = this.#scenario.rules;
    const hasTurn = (waitingSinceMs: number | undefined): boolean =>
      waitingSinceMs !== undefined && this.#nowMs >= waitingSinceMs + turnMs;
    const isStayOver = this.#nowMs >= readyAtMs + minStayMs;
    if (phase !== 'ready' || !isStayOver) this.#violated(`${model.name} is closed while ${phase}, or in its stay`);
    const others = [...this.#slots.values()].filter((slot) => slot.model !== model && slot.phase !== 'ready');
    if (!others.some((slot) => hasTurn(slot.waitingSinceMs))) this.#violated(`${model.name} is closed for nobody`);
  }

  #slot(name: string): Slot {
    const slot = this.#slots.get(name);
    if (!slot) throw new Error(`no such model: ${name}`);
    return slot;
  }

  #violated(what: string): void {
    this.#violations.add(what);
  }

  /** Behind what was to happen at the same moment. */
  #at(atMs: number, happen: () => void, isStillTo: () => boolean = () => true): void {
    const index = this.#agenda.findIndex((one) => one.atMs > atMs);
    const entry = { atMs, happen: () => isStillTo() && happen() };
    this.#agenda.splice(index === -1 ? this.#agenda.length : index, 0, entry);
  }
}

function slotFor(model: SimulatedModel): Slot {
  const times = { waitingSinceMs: undefined, readyAtMs: undefined, idleSinceMs: undefined };
  return { model, phase: 'absent', waiting: [], running: 0, residency: 0, ...times };
}

function viewOf({ model, waiting, phase, running, ...times }: Slot): ResidentView {
  const { name, onDemand, ttlMs } = model;
  const { waitingSinceMs, readyAtMs, idleSinceMs } = times;
  return { name, onDemand, ttlMs, phase, running, waiting: waiting.length, waitingSinceMs, readyAtMs, idleSinceMs };
}

function isSame(one: ResidencyDecision, other: ResidencyDecision): boolean {
  return isDeepStrictEqual({ ...one, againAtMs: 0 }, { ...other, againAtMs: 0 });
}
