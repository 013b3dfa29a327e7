import { setTimeout as delay } from 'node:timers/promises';
import type { EngineProbe } from '../engines/engine.ts';
import type { SupervisorLimits } from './supervisor-limits.ts';

/** What comes of probing. */
export interface ProbeListener {
  onProbe(probe: EngineProbe): void;
  /** `late`: it did not answer in time, which a busy engine may do; else it is not there or not well. */
  onFailure(error: unknown, late: boolean): void;
}

/** Probes, with a pause between two, until the signal aborts. Never rejects. */
export async function probeLoop(
  probe: (signal: AbortSignal) => Promise<EngineProbe>,
  listener: ProbeListener,
  signal: AbortSignal,
  { probeEveryMs, probeMs }: Pick<SupervisorLimits, 'probeEveryMs' | 'probeMs'>,
): Promise<void> {
  while (!signal.aborted) {
    const timeout = AbortSignal.timeout(probeMs);
    try {
      const answer = await probe(AbortSignal.any([signal, timeout]));
      if (!signal.aborted) listener.onProbe(answer);
    } catch (error) {
      if (!signal.aborted) listener.onFailure(error, timeout.aborted);
    }
    // Rejects only because the signal aborts, which ends the loop.
    await delay(probeEveryMs, undefined, { signal, ref: false }).catch(() => {});
  }
}

/** What a probe failed with, and its cause, which says more than what callers are told. */
export function describeProblem(error: unknown): string {
  const { message, cause } = error instanceof Error ? error : new Error(String(error));
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}
