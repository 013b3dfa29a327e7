/** How soon and how often engines are started again. */
export interface RestartLimits {
  /** The wait after the first failure, in milliseconds; it doubles with each further one. */
  readonly firstDelayMs: number;
  /** The longest wait, in milliseconds. */
  readonly maxDelayMs: number;
}

/** The limits of production. */
export const RESTART_LIMITS: RestartLimits = { firstDelayMs: 1_000, maxDelayMs: 60_000 };

/** So many crashes within the window, or starts in a row that failed, are a loop: starting again would not help. */
const LOOP_CRASHES = 5;
const LOOP_WINDOW_MS = 10 * 60_000;

/** The crashes of one engine. */
export interface CrashHistory {
  /** When it crashed, in milliseconds, oldest first. */
  readonly crashesMs: readonly number[];
  /** Crashes since it was last ready for longer than the window. */
  readonly inARow: number;
  /** Starts in a row that never became ready, however long each took. */
  readonly failedStarts: number;
}

/** No crash yet. */
export const NO_CRASHES: CrashHistory = { crashesMs: [], inARow: 0, failedStarts: 0 };

/** What to do after a crash. */
export type RestartDecision = { readonly kind: 'restart'; readonly delayMs: number } | { readonly kind: 'quarantine' };

/** Adds a crash. `readyForMs` is how long the engine had been ready; undefined: not at all. Pure. */
export function withCrash(history: CrashHistory, nowMs: number, readyForMs: number | undefined): CrashHistory {
  const recent = history.crashesMs.filter((atMs) => nowMs - atMs < LOOP_WINDOW_MS);
  const ranWell = readyForMs !== undefined && readyForMs >= LOOP_WINDOW_MS;
  return {
    crashesMs: [...recent, nowMs],
    inARow: ranWell ? 1 : history.inARow + 1,
    failedStarts: readyForMs === undefined ? history.failedStarts + 1 : 0,
  };
}

/** Starts again after 1, 2, 4, … seconds, at most a minute; a crash loop ends in quarantine. Pure. */
export function decideRestart(history: CrashHistory, limits: RestartLimits = RESTART_LIMITS): RestartDecision {
  const { crashesMs, inARow, failedStarts } = history;
  if (crashesMs.length >= LOOP_CRASHES || failedStarts >= LOOP_CRASHES) return { kind: 'quarantine' };
  return { kind: 'restart', delayMs: delayAfter(inARow, limits) };
}

/** How long to wait after so many failures in a row, 1 or more, in milliseconds. Pure. */
export function delayAfter(failures: number, limits: RestartLimits = RESTART_LIMITS): number {
  return Math.min(limits.maxDelayMs, limits.firstDelayMs * 2 ** (failures - 1));
}
