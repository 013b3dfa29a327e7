import type { Logger } from 'pino';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { Reason } from '../../shared/errors/reasons.ts';
import { Roster } from '../../shared/lifecycle/roster.ts';

/** One lease that is to be ended. */
export interface Ending {
  readonly reservationId: string;
  /** Asks quota; may be called again and again. */
  readonly end: () => Promise<unknown>;
  /** How long it is tried again, in milliseconds. */
  readonly forMs: number;
  /** How often "no such reservation" is no answer yet: the reservation may still be on its way. */
  readonly notFoundRetries: number;
  /** Whether it may be left to expire when many wait: nothing was delivered under it. */
  readonly isExpendable: boolean;
}

/** Failures after which an operation may have been carried out. */
export const UNKNOWN_OUTCOMES: ReadonlySet<Reason> = new Set([
  'STORE_UNAVAILABLE',
  'PEER_UNAVAILABLE',
  'DEADLINE_EXCEEDED',
]);

/** The first wait before it is tried again, and the longest, in milliseconds. */
const RETRY_MS = { first: 50, factor: 3, most: 5_000 };

/** How many are tried again at a time: a store that comes back is not overrun. */
const MOST_RETRIES_AT_ONCE = 64;

/** The most that may wait, so that a long outage takes no more memory than this; half of it is kept for what must be charged. */
const MOST_PENDING = 100_000;

/** Ends leases behind the answers to callers, again and again while quota does not answer. */
export class Endings {
  readonly #log: Logger;
  readonly #pending = new Roster<Promise<void>>();
  readonly #turns: (() => void)[] = [];
  #retrying = 0;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Starts to end a lease. */
  add(ending: Ending): void {
    if (this.#pending.size >= (ending.isExpendable ? MOST_PENDING / 2 : MOST_PENDING)) {
      // The store settles it at its last report when it expires.
      this.#log.error(
        { reservationId: ending.reservationId },
        'too many leases wait to be ended; this one is left to expire',
      );
      return;
    }
    void this.track(this.#untilEnded(ending));
  }

  /** Makes `idle` wait for it. */
  track<T>(work: Promise<T>): Promise<T> {
    const done = work.then(
      () => undefined,
      // Whoever called hears of the failure.
      () => undefined,
    );
    void done.then(this.#pending.add(done));
    return work;
  }

  /** Resolves when everything is ended or given up. */
  async idle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }

  async #untilEnded({ reservationId, end, forMs, notFoundRetries }: Ending): Promise<void> {
    const givenUpAtMs = performance.now() + forMs;
    let notFound = 0;
    for (let tries = 0; ; tries += 1) {
      try {
        await (tries === 0 ? end() : this.#inTurn(end));
        return;
      } catch (error) {
        const { reason, message } = asMeshError(error);
        if (reason === 'RESERVATION_NOT_FOUND' && notFoundRetries > 0) {
          notFound += 1;
          if (notFound > notFoundRetries) return;
        } else if (!UNKNOWN_OUTCOMES.has(reason) || performance.now() >= givenUpAtMs) {
          this.#log.error({ reservationId, reason, err: error }, `a lease could not be ended: ${message}`);
          return;
        }
        await pause(tries);
      }
    }
  }

  async #inTurn(end: () => Promise<unknown>): Promise<void> {
    if (this.#retrying >= MOST_RETRIES_AT_ONCE) await new Promise<void>((resolve) => this.#turns.push(resolve));
    else this.#retrying += 1;
    try {
      await end();
    } finally {
      // The place goes on to the next one that waits.
      const next = this.#turns.shift();
      if (next) next();
      else this.#retrying -= 1;
    }
  }
}

/** Drawn from the upper half of the wait, so that many do not come back at the same moment. */
function pause(tries: number): Promise<void> {
  const longestMs = Math.min(RETRY_MS.most, RETRY_MS.first * RETRY_MS.factor ** tries);
  return new Promise((resolve) => setTimeout(resolve, longestMs * (0.5 + Math.random() / 2)));
}
