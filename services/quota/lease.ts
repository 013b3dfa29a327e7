/** How long a lease lives without a report when Reserve does not say, in milliseconds. */
export const DEFAULT_HOLD_MS = 60_000;

/** The longest that a lease may live without a report, in milliseconds. */
export const MAX_HOLD_MS = 86_400_000;

/** How long an ended lease is remembered, so that a repeated call is answered as the first, in milliseconds. */
export const RETENTION_MS = 600_000;

/** Where a lease stands: held, then one of the others for ever. */
export type LeaseState = 'held' | 'settled' | 'released' | 'expired';

/** What a lease was settled with. */
export interface Consumption {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** What is kept of a lease. */
export interface Lease extends Consumption {
  readonly state: LeaseState;
  readonly expiresAtMs: number;
  /** 0: not ended. */
  readonly endedAtMs: number;
}

/** What ending a lease comes to. */
export type Ending =
  /** Do it now. */
  | { readonly kind: 'end' }
  /** It was done before; answer as then. */
  | { readonly kind: 'repeated'; readonly endedAtMs: number }
  /** It ended otherwise. */
  | { readonly kind: 'ended'; readonly state: LeaseState }
  /** There is no such lease. */
  | { readonly kind: 'unknown' };

/** What Settle comes to. */
export function settling(lease: Lease | undefined, used: Consumption, nowMs: number): Ending {
  const ending = endingAs('settled', lease, nowMs);
  const isSame = lease?.promptTokens === used.promptTokens && lease.completionTokens === used.completionTokens;
  return ending.kind === 'repeated' && !isSame ? { kind: 'ended', state: 'settled' } : ending;
}

/** What Release comes to. */
export function releasing(lease: Lease | undefined, nowMs: number): Ending {
  return endingAs('released', lease, nowMs);
}

function endingAs(state: LeaseState, lease: Lease | undefined, nowMs: number): Ending {
  if (!lease) return { kind: 'unknown' };
  if (lease.state === state) return { kind: 'repeated', endedAtMs: lease.endedAtMs };
  if (lease.state !== 'held') return { kind: 'ended', state: lease.state };
  // Whether the sweeper has come by yet makes no difference.
  return nowMs >= lease.expiresAtMs ? { kind: 'ended', state: 'expired' } : { kind: 'end' };
}
