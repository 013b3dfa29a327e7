import type { Engine } from '../../../gen/mesh/inference/v1/engine_pb.ts';

/** How many changes wait for a slow reader before it gets a snapshot instead. */
const WAITING_CHANGES = 1_024;

/** What a watcher gets next. */
export interface EngineNews {
  /** Whether `engines` are all there are; else the one that changed. */
  readonly snapshot: boolean;
  readonly engines: readonly Engine[];
}

/**
 * The changes of engines that wait for one watcher, in their order. It begins with a snapshot; when too many changes wait,
 * all of them give way to another. Engines that were handed in or out are never changed afterwards.
 */
export class EngineChanges {
  readonly #all: () => readonly Engine[];
  readonly #limit: number;
  #waiting: Engine[] = [];
  #owesSnapshot = true;

  /** `all` gives every engine as it is when it is called. */
  constructor(all: () => readonly Engine[], limit = WAITING_CHANGES) {
    this.#all = all;
    this.#limit = limit;
  }

  /** Adds an engine as it is after a change. */
  add(engine: Engine): void {
    // The snapshot is made when it is taken, and shows this change.
    if (this.#owesSnapshot) return;
    const at = this.#waiting.findLastIndex(({ name }) => name === engine.name);
    const last = this.#waiting[at];
    if (last && isWithinState(last, engine)) {
      this.#waiting[at] = engine;
    } else if (this.#waiting.length < this.#limit) {
      this.#waiting.push(engine);
    } else {
      this.#waiting = [];
      this.#owesSnapshot = true;
    }
  }

  /** Takes what is next. Undefined: nothing waits. */
  take(): EngineNews | undefined {
    if (this.#owesSnapshot) {
      this.#owesSnapshot = false;
      return { snapshot: true, engines: this.#all() };
    }
    const engine = this.#waiting.shift();
    return engine && { snapshot: false, engines: [engine] };
  }
}

/** Progress and the like. An engine that is unhealthy, or waits, for another reason than before has a new failure. */
function isWithinState(before: Engine, after: Engine): boolean {
  return before.state === after.state && before.failure === after.failure;
}
