import { type Engine, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { engineFor } from '../engines/catalogue.ts';
import type { DeviceDemand, EngineAdapter, EngineConnection } from '../engines/engine.ts';
import { comesOnDemand, type ModelEntry } from '../engines/model-entry.ts';
import type { EngineLog } from '../supervisor/engine-log.ts';
import type { EngineStatus } from '../supervisor/engine-status.ts';
import type { MarkedStart } from '../supervisor/own-processes.ts';
import type { SupervisedEngine } from '../supervisor/supervised-engine.ts';
import type { ResidentView } from './residency-policy.ts';

/** What a slot works with. */
export interface SlotParts {
  /** As configured, or as it is loaded by hand. */
  readonly entry: ModelEntry;
  readonly log: EngineLog;
  /** Makes what looks after one residency: from a load until nothing of it is left. */
  readonly supervise: (
    entry: ModelEntry,
    adapter: EngineAdapter,
    onChange: (engine: Engine) => void,
  ) => SupervisedEngine;
  /** Called after every change of the engine but load. */
  readonly onChange: (slot: ModelSlot) => void;
  /** Called when the last of its requests has ended, and when nothing of it is left. */
  readonly onIdle: (slot: ModelSlot) => void;
  /** Milliseconds on the monotonic clock. */
  readonly clockMs: () => number;
}

/** Where one model of the node may be loaded: it comes and goes, its name stays. */
export class ModelSlot {
  readonly #parts: SlotParts;
  #entry: ModelEntry;
  #adapter: EngineAdapter;
  #supervised: SupervisedEngine;
  #leaving: Promise<void> | undefined;
  #begun = false;
  /** It takes nothing new from the moment on that it is told, before its state says so. */
  #isFallingAsleep = false;
  #unloadedByHand = false;
  #readyAtMs: number | undefined;
  #idleSinceMs: number | undefined;

  constructor(parts: SlotParts) {
    this.#parts = parts;
    this.#entry = parts.entry;
    this.#adapter = engineFor(parts.entry);
    this.#supervised = this.#supervise();
  }

  get name(): string {
    return this.#parts.entry.name;
  }

  get entry(): ModelEntry {
    return this.#entry;
  }

  get log(): EngineLog {
    return this.#parts.log;
  }

  /** The engine as it is now. */
  get engine(): Engine {
    return { ...this.#supervised.status.engine, unloaded: this.#unloadedByHand };
  }

  get status(): EngineStatus {
    return this.#supervised.status;
  }

  /** The way to the engine while it takes requests. */
  get connection(): EngineConnection | undefined {
    return this.#leaving || this.#isFallingAsleep ? undefined : this.#supervised.connection;
  }

  /** The start of which processes may be there. */
  get marked(): MarkedStart | undefined {
    return this.#supervised.marked;
  }

  get isStarted(): boolean {
    return this.#adapter.lifecycle === 'started';
  }

  get onDemand(): boolean {
    return comesOnDemand(this.#entry);
  }

  /** Whether requests are refused until it is loaded again. */
  get unloadedByHand(): boolean {
    return this.#unloadedByHand;
  }

  /** Where it is in coming and going. */
  get phase(): ResidentView['phase'] {
    if (this.#leaving || this.#isFallingAsleep) return 'leaving';
    if (!this.#begun) return 'absent';
    // No room is no failure of its own: it is on its way as soon as there is some.
    return this.waitsForRoom ? 'loading' : phaseOf(this.status.state);
  }

  /** Whether it is on its way and has no devices yet: those that it will have look free. */
  get isUnplaced(): boolean {
    return this.#begun && !this.#leaving && this.#supervised.status.state === EngineState.PENDING;
  }

  /** Whether it has been told to load and waits for room on the devices. */
  get waitsForRoom(): boolean {
    return this.#begun && !this.#leaving && this.#supervised.waitsForRoom;
  }

  /** When it last became ready, on the monotonic clock. */
  get readyAtMs(): number | undefined {
    return this.#readyAtMs;
  }

  /** Since when it runs nothing, on the monotonic clock. */
  get idleSinceMs(): number | undefined {
    return this.#idleSinceMs;
  }

  /** @throws as EngineAdapter.demand. */
  demand(): Promise<DeviceDemand | undefined> {
    return this.#adapter.demand();
  }

  /** What is loaded from now on under this name; only while nothing of the model is here. */
  configure(entry: ModelEntry): void {
    if (this.phase !== 'absent') throw new Error(`model '${this.name}' cannot be changed while it is ${this.phase}`);
    this.#entry = entry;
    this.#adapter = engineFor(entry);
  }

  /** Begins to load or to wake it. Does nothing while it is here or on the way. */
  load(): void {
    const { phase } = this;
    if (phase === 'asleep' || this.waitsForRoom) this.#supervised.wake();
    if (phase !== 'absent') return;
    // What looked after it before has ended with it.
    if (this.#supervised.status.state !== EngineState.PENDING) this.#supervised = this.#supervise();
    this.#begun = true;
    this.#supervised.start();
  }

  /**
   * Takes nothing new, gives what runs at most `drainMs`, and stops it. Resolves when nothing of it is left; a second call
   * waits for the first.
   */
  unload(drainMs: number): Promise<void> {
    if (!this.#begun && this.#supervised.status.state === EngineState.STOPPED) return Promise.resolve();
    this.#leaving ??= this.#unload(drainMs);
    return this.#leaving;
  }

  /** Makes room for another: sleeps where it can and does not yet, else goes. It runs nothing. */
  makeRoom(): void {
    if (this.#adapter.canSleep && this.#supervised.status.state === EngineState.READY) {
      this.#isFallingAsleep = true;
      this.#supervised.sleep();
    } else void this.unload(0); // Never rejects.
  }

  /** Refuses requests from now on, or takes them again. */
  setUnloadedByHand(unloaded: boolean): void {
    if (this.#unloadedByHand === unloaded) return;
    this.#unloadedByHand = unloaded;
    this.#parts.onChange(this);
  }

  async #unload(drainMs: number): Promise<void> {
    await this.#supervised.stop(drainMs);
    this.#begun = false;
    this.#leaving = undefined;
    this.#readyAtMs = undefined;
    this.#idleSinceMs = undefined;
    this.#parts.onIdle(this);
  }

  #supervise(): SupervisedEngine {
    const supervised = this.#parts.supervise(this.#entry, this.#adapter, ({ state }) => this.#changed(state));
    supervised.status.load.onIdle = () => {
      this.#idleSinceMs = this.#parts.clockMs();
      this.#parts.onIdle(this);
    };
    return supervised;
  }

  #changed(state: EngineState): void {
    if (state !== EngineState.READY) this.#isFallingAsleep = false;
    if (state !== EngineState.READY) this.#readyAtMs = undefined;
    else if (this.#readyAtMs === undefined) {
      this.#readyAtMs = this.#parts.clockMs();
      this.#idleSinceMs = this.#readyAtMs;
    }
    this.#parts.onChange(this);
  }
}

function phaseOf(state: EngineState): ResidentView['phase'] {
  switch (state) {
    case EngineState.READY:
      return 'ready';
    case EngineState.SLEEPING:
      return 'asleep';
    case EngineState.DRAINING:
    case EngineState.STOPPING:
      return 'leaving';
    case EngineState.STOPPED:
      return 'absent';
    case EngineState.UNHEALTHY:
    case EngineState.BACKOFF:
    case EngineState.QUARANTINED:
      return 'failed';
    default:
      return 'loading';
  }
}
