/**
 * What an operation does to all limits of a lease at once. Pure: takes the states as they stand now, returns the next ones.
 */
import { changed, givenBack, type LimitState, type LimitStatus, type Rule, roomIn, statusOf } from './budget.ts';
import { boundsCompletion, changeOf, type Figures, needOf, reported, type Unit } from './lease.ts';

/** A limit and how it stands now. */
export interface Standing {
  readonly unit: Unit;
  readonly rule: Rule;
  /** Of this moment; see stateAt. */
  readonly state: LimitState;
}

/** The answer to one who asks for admission. */
export interface Admission {
  readonly isAdmitted: boolean;
  /** The next states; those that were given when it is refused. */
  readonly states: readonly LimitState[];
  /** How full each limit is after it. */
  readonly statuses: readonly LimitStatus[];
}

/** Takes from all limits, or from none. */
export function admission(limits: readonly Standing[], figures: Figures, nowMs: number): Admission {
  const needs = limits.map(({ unit }) => needOf(unit, figures));
  const isAdmitted = limits.every(({ rule, state }, i) => (needs[i] ?? 0) <= roomIn(rule, state));
  if (!isAdmitted) {
    const statuses = limits.map(({ rule, state }, i) => statusOf(rule, state, needs[i] ?? 0, nowMs));
    return { isAdmitted, states: limits.map(({ state }) => state), statuses };
  }
  const states = transition(limits, undefined, figures);
  return {
    isAdmitted,
    states,
    statuses: limits.map(({ rule }, i) => statusOf(rule, states[i] as LimitState, 0, nowMs)),
  };
}

/** How full limits are for one who would ask for admission; takes nothing. */
export function outlook(limits: readonly Standing[], figures: Figures, nowMs: number): LimitStatus[] {
  return limits.map(({ unit, rule, state }) => statusOf(rule, state, needOf(unit, figures), nowMs));
}

/** A report on a lease that is held. */
export interface Progress {
  /** The prompt as the engine counted it; undefined: not known yet, or told before. */
  readonly promptTokens: number | undefined;
  /** What left the engine so far. */
  readonly completionTokens: number;
  /** How many completion tokens the lease should cover in all. */
  readonly wantedTokens: number;
}

/** The answer to a report. */
export interface Extension {
  readonly figures: Figures;
  readonly states: readonly LimitState[];
}

/** Spends what was told, returns what the prompt was reserved too much, and covers as much more as every limit has room for. */
export function extension(limits: readonly Standing[], figures: Figures, progress: Progress): Extension {
  const told = reported(figures, progress.promptTokens, progress.completionTokens);
  const states = transition(limits, figures, told);
  const wanted = Math.min(progress.wantedTokens, told.maxCompletionTokens) - told.coveredTokens;
  const rooms = limits.map(({ unit, rule }, i) =>
    boundsCompletion(unit) ? roomIn(rule, states[i] as LimitState) : wanted,
  );
  const more = Math.max(0, Math.min(wanted, ...rooms));
  const next = { ...told, coveredTokens: told.coveredTokens + more };
  const after = limits.map((limit, i) => ({ ...limit, state: states[i] as LimitState }));
  return { figures: next, states: transition(after, told, next) };
}

/** The states after a lease went from some figures to others; undefined: it begins. */
export function transition(limits: readonly Standing[], from: Figures | undefined, to: Figures): LimitState[] {
  return limits.map(({ unit, rule, state }) => changed(rule, state, changeOf(unit, from, to)));
}

/** The states after a lease was released: its request never was. */
export function released(limits: readonly Standing[], from: Figures, to: Figures, takenAtMs: number): LimitState[] {
  return transition(limits, from, to).map((state, i) => {
    const limit = limits[i];
    return limit?.unit === 'requests' && from.isCounted ? givenBack(limit.rule, state, 1, takenAtMs) : state;
  });
}
