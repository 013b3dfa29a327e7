/** So many late answers of an engine that has nothing to do, and none in time between them, mean that it is not merely busy. */
const LATE_LIMIT = 3;

/** So many refusals and no answer between them: one may be a connection that was closed just as it was used again. */
const FAILED_LIMIT = 2;

/** Time that passed between two looks and in which we did not look (we were suspended ourselves) does not count beyond this. */
const MAX_GAP_MS = 10_000;

/**
 * An engine that has not begun to answer, and tells no steps or is too busy to tell, reads prompts for all we can see. A long
 * prompt on a slow device takes minutes, so it is given this many times the limit.
 */
const READING_FACTOR = 10;

/** What came of one probe. */
export type ProbeOutcome =
  | { readonly kind: 'answer'; readonly step?: number | undefined }
  /** No answer in time, which a busy engine may do. */
  | { readonly kind: 'late' }
  /** Refused, or an answer that says no. */
  | { readonly kind: 'failed' };

/** What is seen of an engine at one moment. */
export interface Sighting {
  /** On the monotonic clock, in milliseconds. */
  readonly atMs: number;
  readonly probe: ProbeOutcome;
  /** Events that it has sent us so far. */
  readonly events: number;
  /** Our generations that run on it; those of them that their readers have stopped; those whose tokens flow. */
  readonly running: number;
  readonly paused: number;
  readonly flowing: number;
}

/**
 * How an engine is: it answers or moves; it does not answer, and takes no requests; it has not answered for so long that it
 * will not by itself; it owes progress to requests of ours and has shown none for so long.
 */
export type Health = 'well' | 'unwell' | 'silent' | 'hung';

/** What is known of an engine's health after some sightings. */
export interface Liveness {
  readonly health: Health;
  readonly atMs: number;
  /** For how long it has owed progress and shown none. */
  readonly stillMs: number;
  readonly events: number;
  readonly step: number | undefined;
  /** Late answers and refusals since it last answered in time or sent a token. */
  readonly late: number;
  readonly failed: number;
}

/** An engine that has just become ready. */
export function aliveSince(atMs: number, events: number): Liveness {
  return { health: 'well', atMs, stillMs: 0, events, step: undefined, late: 0, failed: 0 };
}

/** An engine that has never answered: not well until it does. */
export function unknownSince(atMs: number): Liveness {
  return { ...aliveSince(atMs, 0), health: 'unwell' };
}

/**
 * Health is progress: tokens that came, steps that the engine counted, or an answer when there was nothing to do. Nothing
 * of that for `hungAfterMs` is hung, whatever its endpoint says, until something moves again; and as long as tokens flow a
 * probe that fails means nothing. Pure.
 */
export function look(before: Liveness, seen: Sighting, hungAfterMs: number): Liveness {
  const { probe } = seen;
  const step = probe.kind === 'answer' ? (probe.step ?? before.step) : before.step;
  const owed = seen.running - seen.paused;
  // Ours alone count: what an engine itself calls running may hold requests that were aborted long ago.
  const isBusy = owed > 0;
  const tokensCame = seen.events !== before.events;
  const stepped = step !== undefined && step !== before.step;
  const moved = tokensCame || stepped || (probe.kind === 'answer' && !isBusy);
  const passedMs = Math.min(MAX_GAP_MS, Math.max(0, seen.atMs - before.atMs));
  const stillMs = moved ? 0 : before.stillMs + passedMs;
  const mayBeReading = (step === undefined || probe.kind === 'late') && isBusy && seen.flowing === 0;
  const limitMs = mayBeReading ? hungAfterMs * READING_FACTOR : hungAfterMs;
  // A limit that is longer now, because the stream that stood still was given up, makes nothing well.
  const isStuck = !moved && (stillMs >= limitMs || before.health === 'hung' || before.health === 'silent');
  const answered = tokensCame || probe.kind === 'answer';
  const late = answered ? 0 : before.late + Number(probe.kind === 'late');
  const failed = answered ? 0 : before.failed + Number(probe.kind === 'failed');
  const next = { atMs: seen.atMs, stillMs, events: seen.events, step, late, failed };
  if (isStuck) return { ...next, health: isBusy && probe.kind !== 'failed' ? 'hung' : 'silent' };
  if (answered) return { ...next, health: 'well' };
  const isUnwell = failed >= FAILED_LIMIT || (late >= LATE_LIMIT && !isBusy);
  return { ...next, health: isUnwell ? 'unwell' : before.health };
}
