import type { EngineConnection, EngineProbe } from '../engines/engine.ts';
import type { EngineStatus } from './engine-status.ts';
import { type WrongModel, wrongModel } from './identity.ts';
import { type Liveness, look, type ProbeOutcome } from './liveness.ts';
import { probeLoop } from './probe-loop.ts';
import type { SupervisorParts } from './supervised-engine.ts';

/** What one look at an engine has found; see Health. */
export type Finding =
  /** `probe`: unset when only its tokens told. */
  | { readonly kind: 'well'; readonly probe: EngineProbe | undefined }
  | { readonly kind: 'unwell' | 'silent'; readonly stillMs: number; readonly error: unknown }
  | { readonly kind: 'hung'; readonly stillMs: number }
  | ({ readonly kind: 'wrong-model' } & WrongModel);

/** Whom to look at, and who is told. */
export interface Watched {
  readonly status: EngineStatus;
  readonly connection: EngineConnection;
  readonly onFinding: (finding: Finding) => void;
}

/**
 * Looks at an engine again and again until the signal aborts, and tells each time how it is. The same for an engine that we
 * started and for one that we did not: what follows from it is the listener's. Never rejects.
 */
export async function watchLiveness(
  { adapter, limits }: SupervisorParts,
  { status, connection, onFinding }: Watched,
  begin: Liveness,
  signal: AbortSignal,
): Promise<void> {
  let liveness = begin;
  /** Until an answer names the right one: tokens do not say whose they are. */
  let mismatch: WrongModel | undefined;
  const lookNow = (outcome: ProbeOutcome): Liveness => {
    const { events, running, paused, flowing } = status.load;
    const seen = { atMs: performance.now(), probe: outcome, events, running, paused, flowing };
    liveness = look(liveness, seen, limits.hungMs);
    return liveness;
  };
  const listener = {
    onProbe(probe: EngineProbe): void {
      mismatch = wrongModel(adapter, probe);
      if (!mismatch) status.gauges = probe;
      const { health, stillMs } = lookNow({ kind: 'answer', step: probe.step });
      if (mismatch) onFinding({ kind: 'wrong-model', ...mismatch });
      else onFinding(health === 'hung' ? { kind: 'hung', stillMs } : { kind: 'well', probe });
    },
    onFailure(error: unknown, late: boolean): void {
      const { health, stillMs } = lookNow({ kind: late ? 'late' : 'failed' });
      if (health === 'well')
        onFinding(mismatch ? { kind: 'wrong-model', ...mismatch } : { kind: 'well', probe: undefined });
      else onFinding(health === 'hung' ? { kind: 'hung', stillMs } : { kind: health, stillMs, error });
    },
  };
  await probeLoop((probeSignal) => connection.probe(probeSignal), listener, signal, limits);
}
