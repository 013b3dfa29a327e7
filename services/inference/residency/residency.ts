import type { Logger } from 'pino';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import type { DeviceBook } from '../devices/device-book.ts';
import type { ModelSlot } from './model-slot.ts';
import { decideResidency, type ResidencyDecision, type ResidencyRules } from './residency-policy.ts';
import { type Waiter, Waiting } from './waiting.ts';
import { Wants } from './wants.ts';

/** The time that residency lives in. */
export interface Clock {
  /** Milliseconds on the monotonic clock. */
  readonly nowMs: () => number;
  /** Calls back after so many milliseconds, unless the returned function is called before. */
  readonly after: (delayMs: number, call: () => void) => () => void;
}

/** What residency works with. */
export interface ResidencyParts {
  /** The models of the node; more may come. */
  readonly slots: ReadonlyMap<string, ModelSlot>;
  readonly rules: ResidencyRules;
  readonly devices: Pick<DeviceBook, 'fits' | 'refresh'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How long it must have been seen that there is no room for a model, in milliseconds, before those who wait are told. */
const REFUSAL_STANDS_MS = 2_000;

/** Lets models come when somebody waits for them and go when others need their devices, as the policy decides. */
export class Residency {
  readonly #parts: ResidencyParts;
  readonly #waiting = new Map<string, Waiting>();
  readonly #wants: Wants;
  #closed: ReadonlySet<string> = new Set();
  #looksAgain = false;
  #stopTimer: () => void = () => {};
  /** Since when there is no room for a model. What just came or went shows late in what the devices tell. */
  readonly #refusedSinceMs = new Map<string, number>();
  readonly #stopTimers = new Set<() => void>();
  #isRunning = false;
  #isStopped = false;

  constructor(parts: ResidencyParts) {
    this.#parts = parts;
    const { slots, devices, log } = parts;
    const waitingFor = (name: string) => this.#waiting.get(name);
    this.#wants = new Wants({ slots, devices, waitingFor, onLearnt: () => this.changed(), log });
  }

  /** Begins to decide; until then everybody waits. */
  start(): void {
    this.#isRunning = !this.#isStopped;
    this.changed();
  }

  /** Whether requests may run on a model that is ready: its turn is not over. */
  isOpen(name: string): boolean {
    return !this.#closed.has(name);
  }

  /** Lets somebody wait until a model takes requests, and has it loaded. */
  wait(slot: ModelSlot, waiter: Waiter): void {
    const waiting = this.#waitingFor(slot.name);
    const isFirst = waiting.count === 0;
    waiting.add(waiter, this.#parts.clock.nowMs());
    if (waiting.count > 0 && (isFirst || !this.#wants.knows(slot.name))) void this.#wants.learn(slot);
  }

  /** What a model needs has changed: it is learnt anew. */
  forget(name: string): void {
    this.#wants.forget(name);
  }

  /** Something has changed: a model's state, its last request, the devices. Decided upon in the next turn of the event loop. */
  changed(): void {
    if (this.#looksAgain || !this.#isRunning) return;
    this.#looksAgain = true;
    setImmediate(() => {
      this.#looksAgain = false;
      if (this.#isRunning) this.#look();
    });
  }

  /** Sends away all who wait for a model. */
  refuse(name: string, error: MeshError): void {
    this.#waiting.get(name)?.failAll(error);
    this.changed();
  }

  /** Sends everybody away and decides nothing any more. */
  stop(error: MeshError): void {
    this.#isStopped = true;
    this.#isRunning = false;
    this.#stopTimer();
    for (const stopTimer of this.#stopTimers) stopTimer();
    for (const waiting of this.#waiting.values()) waiting.failAll(error);
  }

  #look(): void {
    this.#stopTimer();
    this.#answerWaiting();
    const { clock, rules } = this.#parts;
    const nowMs = clock.nowMs();
    const decision = decideResidency(this.#wants.views(nowMs), nowMs, rules, (plan) => this.#wants.fit(plan));
    this.#carryOut(decision);
    // Those whose turn goes on after all.
    this.#answerWaiting();
    const { againAtMs } = decision;
    if (againAtMs !== undefined) this.#stopTimer = clock.after(Math.max(0, againAtMs - nowMs), () => this.changed());
  }

  #carryOut({ load, unload, closed, refused }: ResidencyDecision): void {
    const { slots, log } = this.#parts;
    this.#closed = new Set(closed);
    for (const { name, why, isExpired } of unload) {
      log.info({ engine: name, why }, 'model goes');
      if (isExpired)
        void slots.get(name)?.unload(0); // Never rejects. It runs nothing.
      else slots.get(name)?.makeRoom();
    }
    for (const slot of slots.values()) if (this.#isUnwanted(slot)) void slot.unload(0); // Never rejects. It has no process.
    for (const name of load) slots.get(name)?.load();
    for (const name of this.#refusedSinceMs.keys()) if (!refused.includes(name)) this.#refusedSinceMs.delete(name);
    for (const name of refused) this.#refuseForRoom(name);
  }

  /** One that comes on demand must not take room later that nobody waits for any more. */
  #isUnwanted({ name, onDemand, waitsForRoom }: ModelSlot): boolean {
    return onDemand && waitsForRoom && (this.#waiting.get(name)?.count ?? 0) === 0;
  }

  /** A demand that may fall back to the CPU does so when the devices are not to be had. */
  #refuseForRoom(name: string): void {
    const { clock, slots, devices } = this.#parts;
    const nowMs = clock.nowMs();
    const sinceMs = this.#refusedSinceMs.get(name);
    if (sinceMs === undefined) {
      this.#refusedSinceMs.set(name, nowMs);
      const stopTimer = clock.after(REFUSAL_STANDS_MS, () => {
        this.#stopTimers.delete(stopTimer);
        void devices.refresh().then(() => this.changed());
      });
      this.#stopTimers.add(stopTimer);
    } else if (nowMs >= sinceMs + REFUSAL_STANDS_MS) {
      this.#refusedSinceMs.delete(name);
      if (this.#wants.demandOf(name)?.fallsBackToCpu) slots.get(name)?.load();
      else this.#waiting.get(name)?.refuseAll('no-room');
    }
  }

  /** Tells those who wait for models whose waiting is over. */
  #answerWaiting(): void {
    for (const [name, waiting] of this.#waiting) {
      const slot = this.#parts.slots.get(name);
      if (waiting.count === 0 || !slot) continue;
      if (slot.phase === 'failed') waiting.refuseAll('start-failed');
      else if (slot.connection && this.isOpen(name)) waiting.admitAll();
    }
  }

  #waitingFor(name: string): Waiting {
    const known = this.#waiting.get(name);
    if (known) return known;
    const made = new Waiting(name, () => this.changed());
    this.#waiting.set(name, made);
    return made;
  }
}
