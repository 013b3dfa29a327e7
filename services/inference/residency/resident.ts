/** A model as the policy sees it. All times are milliseconds on one monotonic clock. */
export interface ResidentView {
  /** Unlike every other's. */
  readonly name: string;
  /** Whether requests load it and others may make it go. */
  readonly onDemand: boolean;
  /**
   * absent: no process, no device; loading: from the decision to load it to its first token, its devices booked or not yet;
   * ready: takes requests; asleep: a process without device memory to speak of; leaving: drains, stops or falls asleep, and
   * its devices are not free yet; failed: waits for a restart or an operator.
   */
  readonly phase: 'absent' | 'loading' | 'ready' | 'asleep' | 'leaving' | 'failed';
  /** Requests, and callers of LoadModel, that wait for it. */
  readonly waiting: number;
  /** Since when somebody has waited for it without a break. Set while `waiting` is above 0. */
  readonly waitingSinceMs?: number | undefined;
  /** Requests that run on it. */
  readonly running: number;
  /** When it last became ready. Set while it is ready. */
  readonly readyAtMs?: number | undefined;
  /** When its last request ended; when it became ready, if none has run since. Set while it runs nothing. */
  readonly idleSinceMs?: number | undefined;
  /** For how long it may be idle. Unset: for ever. */
  readonly ttlMs?: number | undefined;
}

/** How long models stay and wait. */
export interface ResidencyRules {
  /** A model that became ready makes room for no other before this, in milliseconds: a load must pay. */
  readonly minStayMs: number;
  /** After so long, in milliseconds, a waiting model has its turn: what is in its way takes no new requests. */
  readonly turnMs: number;
}

/** One step of a plan: when `leave` have gone, `come` takes its place. */
export interface Step {
  readonly come: string;
  readonly leave: readonly string[];
}

/**
 * Whether every step finds a place, one after the other: who went in an earlier step is gone in the later ones, and who came
 * holds its place. At the start all that load, are ready or leave hold theirs, whether they have booked it yet or not. Time
 * does not change the answer.
 */
export type Fits = (plan: readonly Step[]) => boolean;
