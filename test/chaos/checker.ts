import { exactness, isUndoneTooLate } from './exactness.ts';
import { type Bill, type History, type LeaseFigures, requestOf, type StoreStep } from './history.ts';
import { type Fullness, NaiveLimits } from './naive-limits.ts';

/** What a history comes to. */
export interface Verdict {
  /** What must not have been; empty: nothing. Each begins with the name of the rule. */
  readonly violations: readonly string[];
  readonly fullness: readonly Fullness[];
  /** Leases by the state in which they ended. */
  readonly leases: Readonly<Record<LeaseFigures['state'], number>>;
  /** Leases that expired and were settled late. */
  readonly lateSettlements: number;
  /** See isUndoneTooLate; those of killed owners are among them. */
  readonly undoneTooLate: number;
  /** See NaiveLimits. */
  readonly beyondLimits: number;
}

/**
 * Whether a history may have been. Pure. The rules:
 *
 * - over: at no instant was more settled and held than a limit allows.
 * - drift: counters hold, at every step, what the leases hold.
 * - life: a lease is taken once; what it was told never shrinks; what ended stays ended, save for a late settlement.
 * - rest: at the end nothing is held.
 * - exact: see exactness.
 * - ledger: bills are the sums of what leases ended at.
 */
export function check(history: History): Verdict {
  const verdict = checkStore(history);
  const last = new Map(history.steps.map((step) => [step.leaseId, step]));
  return { ...verdict, violations: [...verdict.violations, ...exactness(history, last)] };
}

/** The rules that ask nobody but the store: all but `exact`. */
export function checkStore(history: History): Verdict {
  const limits = new NaiveLimits();
  const last = new Map<string, StoreStep>();
  const violations: string[] = [];
  const leases = { held: 0, settled: 0, released: 0, expired: 0 };
  let lateSettlements = 0;
  for (const step of history.steps) {
    const before = last.get(step.leaseId);
    last.set(step.leaseId, step);
    const where = `(${step.leaseId}, ${new Date(step.atMs).toISOString()})`;
    for (const wrong of limits.take(step)) violations.push(`over: ${wrong} ${where}`);
    for (const [counter, held] of step.heldByCounter) {
      const should = limits.held(counter);
      if (held !== should) violations.push(`drift: ${counter} holds ${held}, its leases ${should} ${where}`);
    }
    const wrong = lifeProblem(before, step);
    if (wrong !== undefined) violations.push(`life: ${wrong} ${where}`);
    if (before?.figures.state === 'expired') lateSettlements += 1;
  }
  const made = new Map(history.engines.map((record) => [record.requestId, record]));
  let undoneTooLate = 0;
  for (const { figures, leaseId } of last.values()) {
    leases[figures.state] += 1;
    if (isUndoneTooLate(figures, made.get(requestOf(leaseId)))) undoneTooLate += 1;
  }
  violations.push(...restProblems(history, limits), ...ledgerProblems(history, last));
  const { beyondLimits } = limits;
  return { violations, fullness: limits.fullness(), leases, lateSettlements, undoneTooLate, beyondLimits };
}

function lifeProblem(before: StoreStep | undefined, { figures, takenAtMs }: StoreStep): string | undefined {
  if (!before) return figures.state === 'held' ? undefined : `it begins as ${figures.state}`;
  const from = before.figures;
  if (takenAtMs !== before.takenAtMs) return 'it is taken twice';
  if (from.state !== 'held' && !(from.state === 'expired' && figures.state === 'settled')) {
    return `it is ${figures.state} after it was ${from.state}`;
  }
  if (figures.completionTokens < from.completionTokens) {
    return `${from.completionTokens} completion tokens become ${figures.completionTokens}`;
  }
  if (figures.coveredTokens < from.coveredTokens) return `what is covered shrinks to ${figures.coveredTokens}`;
  return undefined;
}

function restProblems({ heldAtEnd, leasesAtEnd }: History, limits: NaiveLimits): string[] {
  const problems = leasesAtEnd === 0 ? [] : [`rest: ${leasesAtEnd} leases are held`];
  for (const [counter, held] of heldAtEnd) problems.push(`rest: ${counter} holds ${held}`);
  for (const [counter, held] of limits.holding()) problems.push(`rest: leases hold ${held} of ${counter}`);
  return problems;
}

function ledgerProblems({ bills }: History, last: ReadonlyMap<string, StoreStep>): string[] {
  const sums = new Map<string, Bill>();
  for (const { keyId, figures } of last.values()) {
    if (figures.state !== 'settled' && figures.state !== 'expired') continue;
    const sum = sums.get(keyId) ?? { requests: 0, promptTokens: 0, completionTokens: 0 };
    sums.set(keyId, {
      requests: sum.requests + (figures.isCounted ? 1 : 0),
      promptTokens: sum.promptTokens + (figures.promptTokens ?? 0),
      completionTokens: sum.completionTokens + figures.completionTokens,
    });
  }
  return [...new Set([...sums.keys(), ...bills.keys()])].flatMap((keyId) => {
    const [bill, sum] = [bills.get(keyId), sums.get(keyId)].map((each) => each && textOf(each));
    return bill === sum ? [] : [`ledger: ${keyId} is billed ${bill}, its leases come to ${sum}`];
  });
}

function textOf({ requests, promptTokens, completionTokens }: Bill): string {
  return `${requests} requests, ${promptTokens} + ${completionTokens} tokens`;
}
