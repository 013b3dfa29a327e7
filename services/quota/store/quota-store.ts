import type { LimitStatus, Rule } from '../budget.ts';
import type { Consumption, Ending } from '../lease.ts';

/** One counter and the rule that it is held to. */
export interface Counted {
  readonly counter: string;
  readonly rule: Rule;
}

/** Who holds a lease, for the usage ledger. */
export interface Holder {
  readonly keyId: string;
  readonly userId: string;
  readonly organizationId: string;
}

/** What asks for admission. */
export interface Reservation {
  readonly reservationId: string;
  readonly operationId: string;
  readonly holder: Holder;
  readonly model: string;
  readonly limits: readonly Counted[];
  /** Counted before: nothing is taken and nothing refuses. */
  readonly isCounted: boolean;
  /** How long the lease lives, in milliseconds. */
  readonly holdMs: number;
}

/** The answer to a reservation. `statuses` are those of its limits, in their order, whatever was taken included. */
export type Admission =
  | { readonly kind: 'admitted'; readonly expiresAtMs: number; readonly statuses: readonly LimitStatus[] }
  /** Nothing was taken. */
  | { readonly kind: 'refused'; readonly statuses: readonly LimitStatus[] }
  /** Another operation has a lease of that id. */
  | { readonly kind: 'taken' };

/** What ending a lease came to. */
export type Ended =
  | { readonly kind: 'done'; readonly endedAtMs: number }
  | Extract<Ending, { readonly kind: 'ended' | 'unknown' }>;

/**
 * Counters, leases and the usage ledger. Each call is one atomic step, and repeating it changes nothing. Every method
 * rejects with MeshError STORE_UNAVAILABLE when the outcome is unknown.
 */
export interface QuotaStore {
  /** Takes from all limits or from none. */
  reserve(reservation: Reservation): Promise<Admission>;
  /** How full limits are; takes nothing. */
  inspect(limits: readonly Counted[]): Promise<LimitStatus[]>;
  /** Ends a lease and writes its consumption to the ledger, once. */
  settle(reservationId: string, used: Consumption & { readonly engine: string }): Promise<Ended>;
  /** Ends a lease and gives its request back. */
  release(reservationId: string): Promise<Ended>;
  /** Expires leases whose time is over and drops what is no longer needed, a bounded number at a time. */
  sweep(): Promise<void>;
}
