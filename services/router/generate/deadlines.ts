import { MeshError } from '../../shared/errors/mesh-error.ts';
import { Roster } from '../../shared/lifecycle/roster.ts';

/** The time limits of a generation, in milliseconds. */
export interface TimeLimits {
  readonly totalMs: number;
  /** For each engine that it is sent to, and for the wait for an engine. */
  readonly firstTokenMs: number;
  readonly betweenTokensMs: number;
}

/** A running generation, as far as time limits care. */
export interface Timed {
  /** When it was admitted, on the monotonic clock. */
  readonly startedAtMs: number;
  /** Time left at admission, as the caller asked. Unset: only our limits count. */
  readonly timeoutMs: number | undefined;
  /** Whether a token has been delivered. */
  readonly hasToken: boolean;
  /** Set by every delta and every engine that is asked, cleared by the watch, so that a token costs no look at the clock. */
  progressed: boolean;
  /** Whether the reader wants nothing; time does not count against the engine then. */
  readonly isPaused: boolean;
  /** Ends the generation. */
  expire(error: MeshError): void;
  /** Its engine hangs. */
  stalled(error: MeshError): void;
}

interface Watched {
  readonly generation: Timed;
  lastProgressMs: number;
}

/** So much later an engine's side ends by itself what ours should have ended, in milliseconds. */
const GRACE_MS = 1_000;

/** Limits of one engine: another one may go on, and has its own time. */
const OF_AN_ENGINE: ReadonlySet<string | undefined> = new Set(['first_token', 'between_tokens']);

/** How often limits are checked, in milliseconds: how late a limit may strike. */
const CHECK_EVERY_MS = 100;

/** Watches the time limits of all running generations with one timer. */
export class Deadlines {
  readonly #limits: TimeLimits;
  readonly #watched = new Roster<Watched>();
  #timer: NodeJS.Timeout | undefined;

  constructor(limits: TimeLimits) {
    this.#limits = limits;
  }

  /** Watches a generation until the returned function is called. */
  watch(generation: Timed): () => void {
    // A request that is alone neither starts the timer nor stops it, when there was one shortly before.
    this.#timer ??= setInterval(() => this.#check(performance.now()), CHECK_EVERY_MS).unref();
    return this.#watched.add({ generation, lastProgressMs: performance.now() });
  }

  #check(nowMs: number): void {
    if (this.#watched.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    for (const watched of this.#watched) {
      const { generation } = watched;
      if (generation.progressed || generation.isPaused) watched.lastProgressMs = nowMs;
      generation.progressed = false;
      const exceeded = exceededLimit(generation, this.#limits, watched.lastProgressMs, nowMs);
      if (exceeded && OF_AN_ENGINE.has(exceeded.metadata.limit)) {
        watched.lastProgressMs = nowMs;
        generation.stalled(exceeded);
      } else if (exceeded) generation.expire(exceeded);
    }
  }

  /** How long an engine may have for a generation at most, in milliseconds. */
  leftMs({ startedAtMs, timeoutMs }: Pick<Timed, 'startedAtMs' | 'timeoutMs'>): number {
    const endsAtMs = startedAtMs + Math.min(this.#limits.totalMs, timeoutMs ?? Number.POSITIVE_INFINITY);
    return Math.max(1, Math.ceil(endsAtMs - performance.now())) + GRACE_MS;
  }
}

/** The time limit that a generation is over, if any. Pure. */
export function exceededLimit(
  generation: Pick<Timed, 'startedAtMs' | 'timeoutMs' | 'hasToken' | 'isPaused'>,
  limits: TimeLimits,
  lastProgressMs: number,
  nowMs: number,
): MeshError | undefined {
  const ageMs = nowMs - generation.startedAtMs;
  if (ageMs >= Math.min(limits.totalMs, generation.timeoutMs ?? Number.POSITIVE_INFINITY)) return exceeded('total');
  if (generation.isPaused) return undefined;
  const silentMs = nowMs - lastProgressMs;
  if (!generation.hasToken) return silentMs >= limits.firstTokenMs ? exceeded('first_token') : undefined;
  return silentMs >= limits.betweenTokensMs ? exceeded('between_tokens') : undefined;
}

function exceeded(limit: string): MeshError {
  return new MeshError('DEADLINE_EXCEEDED', 'Gateway timeout', { metadata: { limit } });
}
