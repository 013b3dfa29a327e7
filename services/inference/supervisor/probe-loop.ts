import { setTimeout as delay } from 'node:timers/promises';
import type { EngineProbe } from '../engines/engine.ts';
import type { SupervisorLimits } from './supervisor-limits.ts';

/** What comes of probing. */
export interface ProbeListener {
  onProbe(probe: EngineProbe): void;
  /** `late`: it did not answer in time, which a busy engine may do; else it is not there or not well. */
  onFailure(error: unknown, late: boolean): void;
}

/** How often it is asked, and how long an answer may take. */
export type ProbeLimits = Pick<SupervisorLimits, 'probeEveryMs' | 'reprobeMs' | 'probeMs'>;

/** Probes, with a pause between two, until the signal aborts. Never rejects. */
export async function probeLoop(
  probe: (signal: AbortSignal) => Promise<EngineProbe>,
  listener: ProbeListener,
  signal: AbortSignal,
  limits: ProbeLimits,
): Promise<void> {
  let refusals = 0;
  while (!signal.aborted) {
    const timeout = AbortSignal.timeout(limits.probeMs);
    try {
      const answer = await probe(AbortSignal.any([signal, timeout]));
      refusals = 0;
      if (!signal.aborted) listener.onProbe(answer);
    } catch (error) {
      refusals = timeout.aborted ? 0 : refusals + 1;
      if (!signal.aborted) listener.onFailure(error, timeout.aborted);
    }
    // Rejects only because the signal aborts, which ends the loop.
    await delay(pauseAfter(refusals, limits), undefined, { signal, ref: false }).catch(() => {});
  }
}

/**
 * The pause after so many refusals in a row, in milliseconds. The first one is looked at again soon: a connection may have been
 * closed just as it was used, and an engine that is gone shall be out soon. Pure.
 */
export function pauseAfter(refusals: number, { probeEveryMs, reprobeMs }: ProbeLimits): number {
  return refusals === 1 ? reprobeMs : probeEveryMs;
}

/** What a probe failed with, and its cause, which says more than what callers are told. */
export function describeProblem(error: unknown): string {
  const { message, cause } = error instanceof Error ? error : new Error(String(error));
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}
