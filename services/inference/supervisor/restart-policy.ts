const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 60_000;

/** So many crashes within the window are a crash loop: starting again would not help. */
const LOOP_CRASHES = 5;
const LOOP_WINDOW_MS = 10 * 60_000;

/** The crashes of one engine. */
export interface CrashHistory {
  /** When it crashed, in milliseconds, oldest first. */
  readonly crashesMs: readonly number[];
  /** Crashes since it was last ready for longer than the window. */
  readonly inARow: number;
}

/** No crash yet. */
export const NO_CRASHES: CrashHistory = { crashesMs: [], inARow: 0 };

/** What to do after a crash. */
export type RestartDecision = { readonly kind: 'restart'; readonly delayMs: number } | { readonly kind: 'quarantine' };

/** Adds a crash. `readyForMs` is how long the engine had been ready; 0: not at all. Pure. */
export function withCrash(history: CrashHistory, nowMs: number, readyForMs: number): CrashHistory {
  const recent = history.crashesMs.filter((atMs) => nowMs - atMs < LOOP_WINDOW_MS);
  return { crashesMs: [...recent, nowMs], inARow: readyForMs >= LOOP_WINDOW_MS ? 1 : history.inARow + 1 };
}

/** Starts again after 1, 2, 4, … seconds, at most a minute; a crash loop ends in quarantine. Pure. */
export function decideRestart({ crashesMs, inARow }: CrashHistory): RestartDecision {
  if (crashesMs.length >= LOOP_CRASHES) return { kind: 'quarantine' };
  return { kind: 'restart', delayMs: Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (inARow - 1)) };
}
