/** How many failures in a row take an engine out; a request that went well makes up for half of one. */
const FAILURES = 5;
const MAKES_UP = 0.5;

/** How long an engine is out before one request may try it again: first, then twice as long each time, in milliseconds. */
const OUT_MS = { first: 1_000, most: 30_000 };

interface Entry {
  failures: number;
  /** How long it was last taken out for. 0: it has been well since. */
  outMs: number;
  /** Until when it is out, on the monotonic clock. */
  untilMs: number;
  isOut: boolean;
  /** The request that tries whether it works again. */
  trial: Trial | undefined;
}

/** What is to be learnt of an engine from one request. The first of `succeeded`, `failed` and `left` counts. */
export interface Trial {
  /** It made tokens. An engine that was out is back. */
  progressed(): void;
  /** The request went well. */
  succeeded(): void;
  /** The engine broke: a transport error, a status 5xx, a stream that ended before its end or hung. */
  failed(): void;
  /** Nothing was learnt: the caller left, the request was wrong, the engine is busy. */
  left(): void;
}

/** The world around breakers. */
export interface BreakersParts {
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** Called when an engine went out, may be tried by somebody else, or is back. */
  readonly onChange: () => void;
}

/**
 * A circuit breaker for each engine: one that fails again and again gets no requests for a while, then one to try, and all
 * again when that one makes tokens. Does no I/O.
 */
export class Breakers {
  readonly #entries = new Map<string, Entry>();
  readonly #parts: BreakersParts;

  constructor(parts: BreakersParts) {
    this.#parts = parts;
  }

  /** Whether the engine with this candidate id may get a request. */
  allows(id: string): boolean {
    const entry = this.#entries.get(id);
    return !entry?.isOut || (!entry.trial && this.#parts.now() >= entry.untilMs);
  }

  /** Whether the engine gets requests: all, one to try it, or none. */
  stateOf(id: string): 'closed' | 'half_open' | 'open' {
    const entry = this.#entries.get(id);
    if (!entry?.isOut) return 'closed';
    return entry.trial || this.#parts.now() >= entry.untilMs ? 'half_open' : 'open';
  }

  /** A request goes to the engine. */
  enter(id: string): Trial {
    let isOver = false;
    const end = (learn: (entry: Entry | undefined) => void): void => {
      if (isOver) return;
      isOver = true;
      const entry = this.#entries.get(id);
      const wasTrial = entry?.trial === trial;
      if (wasTrial) entry.trial = undefined;
      learn(entry);
      if (wasTrial) this.#parts.onChange();
    };
    const trial: Trial = {
      progressed: () => {
        const entry = this.#entries.get(id);
        if (entry?.trial === trial) this.#comeBack(entry);
      },
      succeeded: () =>
        end((entry) => {
          if (entry) this.#makeUp(id, entry);
        }),
      failed: () => end((entry) => this.#fail(entry ?? this.#add(id))),
      left: () => end(() => {}),
    };
    const entry = this.#entries.get(id);
    if (entry?.isOut && !entry.trial) entry.trial = trial;
    return trial;
  }

  #add(id: string): Entry {
    const entry: Entry = { failures: 0, outMs: 0, untilMs: 0, isOut: false, trial: undefined };
    this.#entries.set(id, entry);
    return entry;
  }

  /** The next failure takes it out again, until it has done well for a while. */
  #comeBack(entry: Entry): void {
    entry.trial = undefined;
    entry.isOut = false;
    entry.failures = FAILURES - 1;
    this.#parts.onChange();
  }

  #makeUp(id: string, entry: Entry): void {
    if (entry.isOut) return;
    entry.failures -= MAKES_UP;
    if (entry.failures <= 0) this.#entries.delete(id);
  }

  #fail(entry: Entry): void {
    const nowMs = this.#parts.now();
    // What was under way when it went out says nothing new.
    if (entry.isOut && nowMs < entry.untilMs) return;
    entry.failures = Math.min(FAILURES, entry.failures + 1);
    if (entry.failures < FAILURES) return;
    entry.outMs = Math.min(OUT_MS.most, Math.max(OUT_MS.first, entry.outMs * 2));
    entry.untilMs = nowMs + entry.outMs;
    entry.isOut = true;
    this.#parts.onChange();
  }
}
