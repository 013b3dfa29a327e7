import type { Progress } from '../admission.ts';
import type { LimitStatus, Rule } from '../budget.ts';
import type { Consumption, Ending, Unit } from '../lease.ts';

/** For how many days the usage ledger is kept unless the configuration says otherwise. */
export const DEFAULT_USAGE_RETENTION_DAYS = 400;

/** One counter and the rule that it is held to. No two limits of one call name the same counter. */
export interface Counted {
  readonly counter: string;
  readonly unit: Unit;
  readonly rule: Rule;
}

/** Who holds a lease, for the usage ledger. */
export interface Holder {
  readonly keyId: string;
  readonly userId: string;
  readonly organizationId: string;
}

/** The size of what asks for admission. */
export interface Demand {
  /** False: counted before, limits on requests are left alone. */
  readonly isCounted: boolean;
  /** The prompt, exact or an upper bound. */
  readonly promptBound: number;
  /** The most that may be produced. */
  readonly maxCompletionTokens: number;
  /** How much of that is covered from the beginning; more is asked for by extend. */
  readonly coveredTokens: number;
}

/** What asks for admission. */
export interface Reservation extends Demand {
  readonly reservationId: string;
  readonly operationId: string;
  readonly holder: Holder;
  readonly model: string;
  readonly limits: readonly Counted[];
  /** The version of the limits of subjects from which `limits` were taken; see SubjectLimits. */
  readonly limitsVersion: number;
  /** How long the lease lives without a report, in milliseconds. */
  readonly holdMs: number;
}

/** The answer to a reservation. `statuses` are those of its limits, in their order, whatever was taken included. */
export type Reserved =
  | {
      readonly kind: 'admitted';
      readonly expiresAtMs: number;
      readonly coveredTokens: number;
      readonly statuses: readonly LimitStatus[];
    }
  /** Nothing was taken. */
  | { readonly kind: 'refused'; readonly statuses: readonly LimitStatus[] }
  /** Another operation has a lease of that id. */
  | { readonly kind: 'taken' }
  /** This operation made the lease, and it ended since. */
  | Extract<Ending, { readonly kind: 'ended' }>
  /** The limits of subjects have another version: read them and ask again. Nothing was taken. */
  | { readonly kind: 'stale' };

/** The answer to a report. */
export type Extended =
  | { readonly kind: 'held'; readonly expiresAtMs: number; readonly coveredTokens: number }
  | Extract<Ending, { readonly kind: 'ended' | 'unknown' }>;

/** What ending a lease came to. */
export type Ended =
  | { readonly kind: 'done'; readonly endedAtMs: number }
  | Extract<Ending, { readonly kind: 'ended' | 'unknown' }>;

/** A lease that is held, as operators see it. */
export interface HeldLease {
  readonly reservationId: string;
  readonly holder: Holder;
  readonly model: string;
  /** Prompt and completion tokens that are held now. */
  readonly heldTokens: number;
  readonly completionTokens: number;
  readonly takenAtMs: number;
  readonly expiresAtMs: number;
}

/** A page of held leases, the oldest first. */
export interface HeldLeases {
  readonly leases: readonly HeldLease[];
  /** Where the next page begins; undefined: there is none. */
  readonly next: string | undefined;
}

/**
 * A row of the usage ledger: what was settled on one UTC day. A lease that expires is settled at its last report, under the
 * engine '' on the day on which the sweeper ends it; when it is settled late, what differs from that is added under the
 * engine and on the day of the late settlement, without a request.
 */
export interface UsageEntry extends Holder, Consumption {
  /** Days since 1970-01-01. */
  readonly day: number;
  readonly model: string;
  readonly engine: string;
  readonly requests: number;
}

/** The limits that were set for subjects at run time, and the version of all of them together. */
export interface SubjectLimits {
  /** Grows with every change. 0: none was ever set. */
  readonly version: number;
  /** Scope and subject, e.g. "key/ab12", to what SetLimits was told, as JSON. */
  readonly bySubject: ReadonlyMap<string, string>;
}

/**
 * Counters, leases and the usage ledger. Each call is one atomic step, and repeating it changes nothing. Every method
 * rejects with MeshError STORE_UNAVAILABLE when the outcome is unknown.
 */
export interface QuotaStore {
  /**
   * Takes from all limits or from none. Repeated: first the lease that is known answers, with its expiry, what it covers, and
   * its limits as they stand; then the version is compared; then the limits decide.
   */
  reserve(reservation: Reservation): Promise<Reserved>;
  /**
   * Reports progress, renews the lease, and covers more completion tokens as far as every limit has room. Also after the
   * expiry, as long as the sweeper has not come by: all of it is still held.
   */
  extend(reservationId: string, progress: Progress, holdMs: number): Promise<Extended>;
  /** How full limits are for one who would ask for so much; takes nothing. */
  inspect(limits: readonly Counted[], demand: Demand): Promise<LimitStatus[]>;
  /** Ends a lease and writes its consumption to the ledger, once. */
  settle(reservationId: string, used: Consumption & { readonly engine: string }): Promise<Ended>;
  /** Ends a lease and gives its request back. */
  release(reservationId: string): Promise<Ended>;
  /**
   * Settles leases whose time is over at their last report, as of now and without an engine, and drops what is no longer
   * needed, a bounded number at a time. Spares what ran out within the last `spareMs`; unset: nothing.
   */
  sweep(spareMs?: number): Promise<void>;
  /** Leases that are held, the oldest first; `after` is where an earlier page ended. */
  heldLeases(limit: number, after: string | undefined): Promise<HeldLeases>;
  /** The ledger of some days, both included, optionally of one organisation. Rows of one day come together. */
  usage(firstDay: number, lastDay: number, organizationId: string | undefined): AsyncIterable<UsageEntry>;
  /** What was set for subjects at run time. */
  subjectLimits(): Promise<SubjectLimits>;
  /**
   * Replaces what is set for one subject; undefined: nothing any more. Returns the version after it, which stays as it was
   * when that changes nothing.
   */
  setSubjectLimits(subject: string, limits: string | undefined): Promise<number>;
}
