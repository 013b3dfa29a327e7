import type { Lease } from '../lease.ts';
import type { Counted, Holder } from './quota-store.ts';
import type { Counter } from './sqlite-counters.ts';

/** A lease and what its ending needs besides. */
export interface KeptLease extends Lease {
  readonly reservationId: string;
  readonly operationId: string;
  readonly holder: Holder;
  readonly model: string;
  readonly limits: readonly Counted[];
  /** The counters of `limits`, as long as the lease is not written. */
  readonly counters?: readonly Counter[];
}
