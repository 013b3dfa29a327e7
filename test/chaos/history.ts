import type { Counted } from '../../services/quota/store/quota-store.ts';

/** The figures of a lease as the store wrote them. */
export interface LeaseFigures {
  readonly state: 'held' | 'settled' | 'released' | 'expired';
  /** Whether it counts against limits on requests. */
  readonly isCounted: boolean;
  /** The prompt as it was reserved. */
  readonly promptBound: number;
  /** The prompt as it was reported or settled; undefined: not yet. */
  readonly promptTokens: number | undefined;
  /** Completion tokens as they were reported or settled. */
  readonly completionTokens: number;
  /** Completion tokens that may be delivered. */
  readonly coveredTokens: number;
  readonly maxCompletionTokens: number;
}

/** One step of the store: a lease was written, and with it counters. */
export interface StoreStep {
  /** When, by the server's clock, in milliseconds since the epoch. */
  readonly atMs: number;
  readonly leaseId: string;
  /** When the lease was taken. */
  readonly takenAtMs: number;
  readonly keyId: string;
  readonly figures: LeaseFigures;
  /** The limits that the lease was taken from. */
  readonly limits: readonly Counted[];
  /** What the counters that were written with it hold from then on. */
  readonly heldByCounter: ReadonlyMap<string, number>;
}

/** A request as its client saw it. */
export interface ClientRecord {
  readonly requestId: string;
  /** Which gateway it was sent to. */
  readonly gateway: number;
  /**
   * "whole": ended by its engine; "exhausted": ended because no more tokens could be had; "left": the client cut it while the
   * engine waited for that, "fled": while tokens were on their way; "refused": no stream began; "broken": it did not end in
   * order.
   */
  readonly outcome: 'whole' | 'exhausted' | 'left' | 'fled' | 'refused' | 'broken';
  /** When it was sent, in milliseconds since the epoch: a store that stands still may take its lease when its gateway is dead. */
  readonly sentAtMs: number;
  /** Completion tokens that arrived. */
  readonly deliveredTokens: number;
}

/** What an engine counted for a request. */
export interface EngineRecord {
  readonly requestId: string;
  readonly promptTokens: number;
  /** Completion tokens that it wrote. */
  readonly madeTokens: number;
  /** It made all that it was asked for; of one whose client was to leave, all up to the token at which it waited for that. */
  readonly isComplete: boolean;
  /** It told the text of each token, so that its stream could be ended after any of them; else only between groups. */
  readonly tellsTokens: boolean;
}

/** A time in which a gateway did not run. */
export interface Outage {
  readonly gateway: number;
  readonly kind: 'killed' | 'stopped';
  readonly fromMs: number;
  readonly toMs: number;
}

/** What was billed to a key. */
export interface Bill {
  readonly requests: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** Everything that a run recorded. */
export interface History {
  /** In the order of the server. */
  readonly steps: readonly StoreStep[];
  readonly clients: readonly ClientRecord[];
  readonly engines: readonly EngineRecord[];
  readonly outages: readonly Outage[];
  /** Counters that hold something when everything is over, read from the store. */
  readonly heldAtEnd: ReadonlyMap<string, number>;
  /** Leases that are held when everything is over, read from the store. */
  readonly leasesAtEnd: number;
  /** The usage ledger by key id, read from the store. */
  readonly bills: ReadonlyMap<string, Bill>;
}

/** The request that a lease was taken for: its id is the request's, a colon, and something that is used once. */
export function requestOf(leaseId: string): string {
  return leaseId.slice(0, leaseId.indexOf(':'));
}
