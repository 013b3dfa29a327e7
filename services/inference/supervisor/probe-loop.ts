import { setTimeout as delay } from 'node:timers/promises';
import type { EngineProbe } from '../engines/engine.ts';

/** Between two probes, in milliseconds. */
const PROBE_EVERY_MS = 1_000;

/** How long one probe may take, in milliseconds. */
const PROBE_TIMEOUT_MS = 5_000;

/** What comes of probing. */
export interface ProbeListener {
  onProbe(probe: EngineProbe): void;
  /** `late`: it did not answer in time, which a busy engine may do; else it is not there or not well. */
  onFailure(error: unknown, late: boolean): void;
}

/** Probes about every second until the signal aborts. Never rejects. */
export async function probeLoop(
  probe: (signal: AbortSignal) => Promise<EngineProbe>,
  listener: ProbeListener,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const timeout = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    try {
      const answer = await probe(AbortSignal.any([signal, timeout]));
      if (!signal.aborted) listener.onProbe(answer);
    } catch (error) {
      if (!signal.aborted) listener.onFailure(error, timeout.aborted);
    }
    // Rejects only because the signal aborts, which ends the loop.
    await delay(PROBE_EVERY_MS, undefined, { signal, ref: false }).catch(() => {});
  }
}
