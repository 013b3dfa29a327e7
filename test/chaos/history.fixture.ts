import type { Rule } from '../../services/quota/budget.ts';
import type { Unit } from '../../services/quota/lease.ts';
import type { ClientRecord, EngineRecord, History, LeaseFigures, StoreStep } from './history.ts';

/** The beginning of hand-written histories: the last minute but one of a UTC day. */
export const START_MS = Date.UTC(2026, 0, 31, 23, 58);

/** A lease of 10 prompt tokens at most and up to 20 completion tokens, all covered, on one limit. */
export function steps(
  leaseId: string,
  [unit, rule]: readonly [Unit, Rule],
  ...changes: readonly (Partial<LeaseFigures> & { readonly at?: number; readonly taken?: number })[]
): StoreStep[] {
  let figures: LeaseFigures = {
    ...{ state: 'held', isCounted: true, promptBound: 10, promptTokens: undefined },
    ...{ completionTokens: 0, coveredTokens: 20, maxCompletionTokens: 20 },
  };
  const takenAtMs = START_MS + (changes[0]?.at ?? 0);
  return changes.map(({ at = 0, taken, ...change }) => {
    figures = { ...figures, ...change };
    return {
      ...{ atMs: START_MS + at, leaseId, takenAtMs: taken === undefined ? takenAtMs : START_MS + taken, keyId: 'k' },
      ...{ figures, limits: [{ counter: `key:${unit}/k`, unit, rule }], heldByCounter: new Map() },
    };
  });
}

/** A request of which the client got 5 tokens, which is all that was made, after a prompt of 8. */
export function request(
  changes: Partial<ClientRecord> & Partial<EngineRecord> = {},
): readonly [ClientRecord, EngineRecord] {
  const all = {
    ...{ requestId: 'a', gateway: 0, sentAtMs: START_MS, outcome: 'whole' as const, deliveredTokens: 5 },
    ...{ promptTokens: 8, madeTokens: 5, isComplete: true, tellsTokens: true, ...changes },
  };
  const { requestId, gateway, sentAtMs, outcome, deliveredTokens, promptTokens, madeTokens, isComplete, tellsTokens } =
    all;
  return [
    { requestId, gateway, sentAtMs, outcome, deliveredTokens },
    { requestId, promptTokens, madeTokens, isComplete, tellsTokens },
  ];
}

/** A history of requests; bills are what the leases come to, nothing is left. */
export function history(
  all: readonly StoreStep[],
  requests: readonly (readonly [ClientRecord, EngineRecord])[],
  changes: Partial<History> = {},
): History {
  const last = new Map(all.map((step) => [step.leaseId, step.figures]));
  const charged = [...last.values()].filter(({ state }) => state === 'settled' || state === 'expired');
  const sum = (of: (figures: LeaseFigures) => number): number => charged.reduce((total, each) => total + of(each), 0);
  const bill = {
    requests: charged.length,
    promptTokens: sum(({ promptTokens }) => promptTokens ?? 0),
    completionTokens: sum(({ completionTokens }) => completionTokens),
  };
  return {
    steps: [...all].sort((a, b) => a.atMs - b.atMs),
    clients: requests.map(([client]) => client),
    engines: requests.map(([, engine]) => engine),
    outages: [],
    heldAtEnd: new Map(),
    leasesAtEnd: 0,
    bills: charged.length > 0 ? new Map([['k', bill]]) : new Map(),
    ...changes,
  };
}
