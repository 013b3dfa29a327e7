import { setTimeout as delay } from 'node:timers/promises';
import type { EngineProbe } from '../engines/engine.ts';
import { StartRefusedError } from '../engines/start-refused.ts';

/** The engine made no progress for the stall time while it started, or took longer than any start may. */
export class StartStalledError extends Error {
  override readonly name = 'StartStalledError';
}

/** How to find out whether an engine that starts is ready. */
export interface ReadinessOptions {
  readonly probe: (signal: AbortSignal) => Promise<EngineProbe>;
  /** Ends the wait; it then rejects. */
  readonly signal: AbortSignal;
  /** When the engine last showed progress, on the monotonic clock in milliseconds. */
  readonly progressedAtMs: () => number;
  /** How long it may show none. */
  readonly stallMs: number;
  /** How long a start may take in all, whatever it shows. */
  readonly limitMs: number;
}

/** Between two probes at first; most starts are short. */
const FIRST_POLL_MS = 25;

/** Between two probes of a long start. A probe costs well below a millisecond. */
const SLOW_POLL_MS = 100;

/** How long one probe may take. */
const PROBE_TIMEOUT_MS = 5_000;

/**
 * Waits until an engine answers its probe. The time limit is on standing still, not on loading: it starts anew with every
 * sign of progress. A cap ends a start that shows progress for ever.
 *
 * @throws StartStalledError; StartRefusedError of a probe that knows that waiting cannot help; the signal's reason.
 */
export async function untilReady(options: ReadinessOptions): Promise<EngineProbe> {
  const { signal, stallMs, limitMs } = options;
  const beganAtMs = performance.now();
  for (let pollMs = FIRST_POLL_MS; ; pollMs = Math.min(SLOW_POLL_MS, pollMs * 1.2)) {
    try {
      return await options.probe(AbortSignal.any([signal, AbortSignal.timeout(PROBE_TIMEOUT_MS)]));
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof StartRefusedError) throw error;
      // Not ready: that is what is being waited for.
    }
    const nowMs = performance.now();
    if (nowMs - options.progressedAtMs() > stallMs) throw new StartStalledError(`no progress for ${stallMs / 1_000} s`);
    if (nowMs - beganAtMs > limitMs) throw new StartStalledError(`not ready after ${limitMs / 1_000} s`);
    await delay(pollMs, undefined, { signal });
  }
}
