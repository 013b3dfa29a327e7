import type { EngineLoad } from '../../../gen/mesh/inference/v1/engine_pb.ts';

/** How busy an engine is, as this router knows it. */
export interface LoadNow {
  /** Requests that this router has there. */
  readonly requests: number;
  /** Tokens of those requests: prompts, and the most that they may produce. */
  readonly tokens: number;
  /** Requests of others there, by the node's last report: of other routers, and of a server's own callers. */
  readonly others: number;
  /** Requests of other routers of this mesh there, by the same report. */
  readonly othersRunning: number;
  /** The most that prompts and completions of this router's requests may fill, in tokens. */
  readonly contextTokens: number;
  /** The used share of its KV cache by the last report, 0 to 1. 0 where it does not tell. */
  readonly kvCacheUsed: number;
}

interface Entry extends LoadNow {
  requests: number;
  tokens: number;
  others: number;
  othersRunning: number;
  contextTokens: number;
  kvCacheUsed: number;
  isReported: boolean;
}

const IDLE: LoadNow = { requests: 0, tokens: 0, others: 0, othersRunning: 0, contextTokens: 0, kvCacheUsed: 0 };

/** Tokens of a request until some were seen. */
const FIRST_TYPICAL_TOKENS = 1_024;

/** How many of the last changes are remembered. */
const REMEMBERED_CHANGES = 1_024;

/** How much the last request counts in what is typical. */
const TYPICAL_WEIGHT = 1 / 64;

/** The load of all engines: what this router dispatched, counted out once on every way out, and what nodes report. */
export class EngineLoads {
  readonly #entries = new Map<string, Entry>();
  /** The ids of the last changes, each at its number modulo the length. */
  readonly #changed: string[] = [];
  #changes = 0;
  #typicalTokens = FIRST_TYPICAL_TOKENS;
  /** Called whenever there may be room where there was none. */
  onRoom: () => void = () => {};

  /** The load of the engine with this candidate id. */
  of(id: string): LoadNow {
    return this.#entries.get(id) ?? IDLE;
  }

  /** How many changes of loads there were. */
  get changes(): number {
    return this.#changes;
  }

  /** The engines whose load changed since there were so many changes. Undefined: too many to tell. */
  changedSince(changes: number): Iterable<string> | undefined {
    const count = this.#changes - changes;
    if (count > REMEMBERED_CHANGES) return undefined;
    return Array.from({ length: count }, (_, at) => this.#changed[(changes + at) % REMEMBERED_CHANGES] ?? '');
  }

  /** Tokens of a request of the last time; what a request counts of which only the number is known. */
  get typicalTokens(): number {
    return this.#typicalTokens;
  }

  /**
   * Counts a request in and returns what counts it out; calling that again does nothing.
   *
   * @param contextTokens the most that it may fill; `tokens` is what it weighs
   */
  acquire(id: string, tokens: number, contextTokens: number = tokens): () => void {
    const entry = this.#entry(id);
    entry.requests += 1;
    entry.tokens += tokens;
    entry.contextTokens += contextTokens;
    this.#note(id);
    this.#typicalTokens += (tokens - this.#typicalTokens) * TYPICAL_WEIGHT;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      entry.requests -= 1;
      entry.tokens -= tokens;
      entry.contextTokens -= contextTokens;
      this.#note(id);
      this.#drop(id, entry);
      this.onRoom();
    };
  }

  /** Takes what a node tells. What of it is not this router's own is reckoned now, while both figures are of one moment. */
  report(id: string, load: EngineLoad | undefined): void {
    const entry = this.#entry(id);
    const { running = 0, waiting = 0, kvCacheUsed = 0 } = load ?? {};
    entry.isReported = true;
    // Of what the mesh runs some may wait in the engine's queue; a server's own callers are in the queue alone.
    entry.others = Math.max(0, Math.max(running, waiting) - entry.requests);
    const { othersRunning } = entry;
    entry.othersRunning = Math.max(0, running - entry.requests);
    entry.kvCacheUsed = kvCacheUsed;
    if (entry.othersRunning !== othersRunning) this.#note(id);
    if (entry.othersRunning < othersRunning) this.onRoom();
  }

  /** Nobody reports on the engine any more. */
  forget(id: string): void {
    const entry = this.#entries.get(id);
    if (!entry) return;
    this.#note(id);
    Object.assign(entry, { others: 0, othersRunning: 0, kvCacheUsed: 0, isReported: false });
    this.#drop(id, entry);
  }

  #note(id: string): void {
    this.#changed[this.#changes % REMEMBERED_CHANGES] = id;
    this.#changes += 1;
  }

  #entry(id: string): Entry {
    const known = this.#entries.get(id);
    if (known) return known;
    const entry = { ...IDLE, isReported: false };
    this.#entries.set(id, entry);
    return entry;
  }

  #drop(id: string, entry: Entry): void {
    if (entry.requests === 0 && !entry.isReported && this.#entries.get(id) === entry) this.#entries.delete(id);
  }
}
