import type { Logger } from 'pino';
import { regularly } from '../shared/lifecycle/regularly.ts';
import type { QuotaStore } from './store/quota-store.ts';

/** How often leases whose owner was killed are looked for, in milliseconds. */
const SWEEP_EVERY_MS = 1_000;

/** Without a sweep for so long the store was away, or we were, in milliseconds. */
const GAP_MS = 3 * SWEEP_EVERY_MS;

/** How long owners get to report after a gap, in milliseconds: they try every second, and at most 5 s apart. */
const PATIENCE_MS = 6_000;

/**
 * Which leases a sweep spares. Those that ran out while the store could not be reached may have owners that live and could
 * not say so: they get some time to report before anything of theirs is returned to others.
 */
export class SweepPatience {
  #sweptAtMs: number;
  #gapFromMs = Number.POSITIVE_INFINITY;
  #patientUntilMs: number;

  /** At a start nobody knows how long nobody swept. */
  constructor(nowMs: number) {
    this.#sweptAtMs = nowMs;
    this.#gapFromMs = Number.NEGATIVE_INFINITY;
    this.#patientUntilMs = nowMs + PATIENCE_MS;
  }

  /** How long ago a lease must have run out to be ended now, in milliseconds; Infinity: none is. */
  spareMs(nowMs: number): number {
    if (nowMs - this.#sweptAtMs > GAP_MS) {
      this.#gapFromMs = Math.min(this.#gapFromMs, this.#sweptAtMs);
      this.#patientUntilMs = nowMs + PATIENCE_MS;
    }
    if (nowMs < this.#patientUntilMs) return nowMs - this.#gapFromMs;
    this.#gapFromMs = Number.POSITIVE_INFINITY;
    return 0;
  }

  /** A sweep came through. */
  swept(nowMs: number): void {
    this.#sweptAtMs = nowMs;
  }
}

/** Sweeps every second. Returns what stops it after a last sweep, which ends no lease and leaves the tables whole. */
export function sweepRegularly(store: QuotaStore, log: Logger): () => Promise<void> {
  const patience = new SweepPatience(performance.now());
  const sweep = async (): Promise<void> => {
    await store.sweep(patience.spareMs(performance.now()));
    patience.swept(performance.now());
  };
  const stop = regularly(sweep, SWEEP_EVERY_MS, (error) => log.warn({ err: error }, 'sweep of leases failed'));
  return async () => {
    await stop();
    await store.sweep(Number.POSITIVE_INFINITY).catch((error: unknown) => {
      log.warn({ err: error }, 'the last sweep of leases failed');
    });
  };
}
