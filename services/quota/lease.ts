import type { Change } from './budget.ts';

/** How long a lease lives without a report when Reserve does not say, in milliseconds. */
export const DEFAULT_HOLD_MS = 60_000;

/** The longest that a lease may live without a report, in milliseconds. */
export const MAX_HOLD_MS = 86_400_000;

/** How long an ended lease is remembered, so that a repeated or late call finds it, in milliseconds. */
export const RETENTION_MS = 600_000;

/** What a limit counts. */
export type Unit =
  | 'requests'
  | 'prompt_tokens'
  | 'completion_tokens'
  | 'tokens'
  | 'concurrent_requests'
  | 'concurrent_context_tokens';

/** Where a lease stands: held, then one of the others. An expired one may still be settled by its owner. */
export type LeaseState = 'held' | 'settled' | 'released' | 'expired';

/** The figures of a lease, from which follows what each limit holds and spent for it. */
export interface Figures {
  readonly state: LeaseState;
  /** Whether it counts against limits on requests. */
  readonly isCounted: boolean;
  /** The prompt as it was reserved: exact or an upper bound. */
  readonly promptBound: number;
  /** The prompt as the engine counted it; undefined: not told yet. */
  readonly promptTokens: number | undefined;
  /** What left the engine, as far as it was told. */
  readonly completionTokens: number;
  /** How many completion tokens the lease covers in all; `completionTokens` of them are spent. */
  readonly coveredTokens: number;
  /** The most that the generation may produce. */
  readonly maxCompletionTokens: number;
}

/** What was told of a generation. */
export interface Consumption {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** What is kept of a lease. */
export interface Lease extends Figures {
  readonly takenAtMs: number;
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

/** What a lease claims of a limit. */
interface Claim {
  readonly spent: number;
  readonly held: number;
}

const NOTHING: Claim = { spent: 0, held: 0 };

/** How one limit changes when a lease goes from some figures to others; undefined `from`: it begins. */
export function changeOf(unit: Unit, from: Figures | undefined, to: Figures): Change {
  const before = from ? claimOf(unit, from) : NOTHING;
  const after = claimOf(unit, to);
  return { spent: Math.max(0, after.spent - before.spent), held: after.held - before.held };
}

/** What a lease needs of a limit at the moment it begins. */
export function needOf(unit: Unit, figures: Figures): number {
  const { spent, held } = claimOf(unit, figures);
  return spent + held;
}

/** Whether a limit on this unit has a part in how many completion tokens a lease may cover. */
export function boundsCompletion(unit: Unit): boolean {
  return unit === 'tokens' || unit === 'completion_tokens';
}

/** The figures after a report. Late reports, and those that arrive in the wrong order, take nothing back. */
export function reported(figures: Figures, promptTokens: number | undefined, completionTokens: number): Figures {
  const told = Math.max(figures.completionTokens, completionTokens);
  return {
    ...figures,
    promptTokens: figures.promptTokens ?? promptTokens,
    completionTokens: told,
    coveredTokens: Math.max(figures.coveredTokens, told),
  };
}

/** The figures of a lease that ends. What was not told of it is returned. */
export function ended(figures: Figures, state: 'settled' | 'released' | 'expired', used?: Consumption): Figures {
  return { ...figures, ...used, state, isCounted: figures.isCounted && state !== 'released' };
}

/** A lease as far as it is remembered: one that ended RETENTION_MS ago is not, whether the sweeper has come by or not. */
export function remembered<L extends Lease>(lease: L | undefined, nowMs: number): L | undefined {
  const isForgotten = lease && lease.state !== 'held' && nowMs >= lease.endedAtMs + RETENTION_MS;
  return isForgotten ? undefined : lease;
}

/**
 * What a report comes to; undefined: it is taken. One that comes after the expiry and before the sweeper renews the lease:
 * all that it held is still held, and after an outage of the store running work goes on.
 */
export function extending(
  lease: Lease | undefined,
): Extract<Ending, { readonly kind: 'ended' | 'unknown' }> | undefined {
  if (!lease) return { kind: 'unknown' };
  return lease.state === 'held' ? undefined : { kind: 'ended', state: lease.state };
}

/** What a lease adds to the usage ledger when it ends: nothing was written for it before, or what it had when it expired. */
export function billOf(from: Figures, to: Figures): Consumption & { readonly requests: number } {
  const isLate = from.state === 'expired';
  return {
    // What was counted before, when it was submitted, is in the ledger since then.
    requests: isLate || !to.isCounted ? 0 : 1,
    promptTokens: (to.promptTokens ?? 0) - (isLate ? (from.promptTokens ?? 0) : 0),
    completionTokens: to.completionTokens - (isLate ? from.completionTokens : 0),
  };
}

/** What Settle comes to. A lease that expired while its owner could not reach the store is settled late. */
export function settling(lease: Lease | undefined, used: Consumption): Ending {
  if (lease?.state === 'expired') return { kind: 'end' };
  const ending = endingAs('settled', lease);
  const isSame = lease?.promptTokens === used.promptTokens && lease.completionTokens === used.completionTokens;
  return ending.kind === 'repeated' && !isSame ? { kind: 'ended', state: 'settled' } : ending;
}

/** What Release comes to. Who asks after the expiry was too late, whether the sweeper has come by yet or not. */
export function releasing(lease: Lease | undefined, nowMs: number): Ending {
  const ending = endingAs('released', lease);
  return ending.kind === 'end' && lease && nowMs >= lease.expiresAtMs ? { kind: 'ended', state: 'expired' } : ending;
}

function endingAs(state: LeaseState, lease: Lease | undefined): Ending {
  if (!lease) return { kind: 'unknown' };
  if (lease.state === state) return { kind: 'repeated', endedAtMs: lease.endedAtMs };
  return lease.state === 'held' ? { kind: 'end' } : { kind: 'ended', state: lease.state };
}

function claimOf(unit: Unit, figures: Figures): Claim {
  const isHeld = figures.state === 'held';
  switch (unit) {
    case 'requests':
      return { spent: figures.isCounted ? 1 : 0, held: 0 };
    case 'prompt_tokens':
      return promptClaim(figures, isHeld);
    case 'completion_tokens':
      return completionClaim(figures, isHeld);
    case 'tokens': {
      const prompt = promptClaim(figures, isHeld);
      const completion = completionClaim(figures, isHeld);
      return { spent: prompt.spent + completion.spent, held: prompt.held + completion.held };
    }
    case 'concurrent_requests':
      return { spent: 0, held: isHeld ? 1 : 0 };
    case 'concurrent_context_tokens':
      return {
        spent: 0,
        held: isHeld ? (figures.promptTokens ?? figures.promptBound) + figures.maxCompletionTokens : 0,
      };
  }
}

function promptClaim({ promptTokens, promptBound }: Figures, isHeld: boolean): Claim {
  if (promptTokens !== undefined) return { spent: promptTokens, held: 0 };
  return { spent: 0, held: isHeld ? promptBound : 0 };
}

function completionClaim({ completionTokens, coveredTokens }: Figures, isHeld: boolean): Claim {
  return { spent: completionTokens, held: isHeld ? coveredTokens - completionTokens : 0 };
}
