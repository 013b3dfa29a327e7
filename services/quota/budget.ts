/**
 * The arithmetic of limits. Nothing here reads a clock or a store. Of every limit two things are kept: what was *spent*,
 * which counts at the moment at which it was told and frees as the rule says, and what is *held* by work that runs, which
 * counts at every moment until it is spent or returned. Spent and held together never exceed the maximum. That holds for
 * tokens that left an engine but were not told yet, too: until then they are held.
 *
 * `store/redis-budget.ts` does the same in Lua; a differential test holds the two together. All numbers are whole, so that
 * both get the same results to the last digit.
 */
import * as bucket from './bucket-budget.ts';
import * as calendar from './calendar-budget.ts';
import * as concurrency from './concurrency-budget.ts';
import * as window from './window-budget.ts';

/** One rule. Its numbers are in the unit of its limit. */
export type Rule = window.WindowRule | calendar.CalendarRule | bucket.BucketRule | concurrency.ConcurrencyRule;

/** What is kept for one rule and one subject. */
export type LimitState =
  | window.WindowState
  | calendar.CalendarState
  | bucket.BucketState
  | concurrency.ConcurrencyState;

/** How full a limit is. */
export interface LimitStatus {
  /** What may be taken now. */
  readonly remaining: number;
  /** What running work holds. */
  readonly held: number;
  /** Until all is free again if nothing more is taken. While something is held, an estimate of at least HELD_RETRY_MS. */
  readonly resetAfterMs: number;
  /** Until what was asked for may be had; 0: now; NEVER_MS: it is more than the limit ever allows. */
  readonly retryAfterMs: number;
}

/** A change of one limit by one operation. */
export interface Change {
  /** Tokens or requests that count from now on. Never negative. */
  readonly spent: number;
  /** More that is held, or less. */
  readonly held: number;
}

/** How long to wait for what running work holds, in milliseconds: it may end at any moment. */
export const HELD_RETRY_MS = 1_000;

/** What is no longer needed is kept so much longer, in milliseconds, so that a clock that is set back finds it. */
export const CLOCK_SLACK_MS = 60_000;

/** The wait for what can never be had, in milliseconds. */
export const NEVER_MS = 2_147_483_647;

/** The state as it stands at `nowMs`; `kept` undefined: nothing was taken lately. A clock that went back frees nothing. */
export function stateAt(rule: Rule, kept: LimitState | undefined, nowMs: number): LimitState {
  switch (rule.kind) {
    case 'window':
      return window.stateAt(rule, kept?.kind === 'window' ? kept : undefined, nowMs);
    case 'calendar':
      return calendar.stateAt(rule, kept?.kind === 'calendar' ? kept : undefined, nowMs);
    case 'bucket':
      return bucket.stateAt(rule, kept?.kind === 'bucket' ? kept : undefined, nowMs);
    case 'concurrency':
      return kept?.kind === 'concurrency' ? kept : concurrency.EMPTY;
  }
}

/** What was spent and still counts, for a state of the same moment. */
export function spentOf(rule: Rule, state: LimitState): number {
  switch (state.kind) {
    case 'window':
    case 'calendar':
      return state.spent;
    case 'bucket':
      return bucket.spentOf(rule as bucket.BucketRule, state);
    case 'concurrency':
      return 0;
  }
}

/** What may be taken now. */
export function roomIn(rule: Rule, state: LimitState): number {
  return Math.max(0, maximumOf(rule) - spentOf(rule, state) - state.held);
}

/** The most that can be taken at once when nothing else is. */
export function maximumOf(rule: Rule): number {
  return rule.kind === 'bucket' ? rule.burst : rule.maximum;
}

/**
 * The state after a change. What is held is changed first; of what is spent counts at most what there is room for, so that
 * no correction after the fact ever puts a limit over its maximum. Where nothing changes it is the same object: such a state
 * is not written, in all stores alike, or a clock that goes back would make them differ.
 */
export function changed(rule: Rule, state: LimitState, change: Change): LimitState {
  if (change.spent === 0 && change.held === 0) return state;
  const next = { ...state, held: Math.max(0, state.held + change.held) };
  const spent = Math.min(change.spent, roomIn(rule, next));
  if (spent <= 0) return next;
  switch (next.kind) {
    case 'window':
      return window.spend(next, spent);
    case 'calendar':
      return { ...next, spent: next.spent + spent };
    case 'bucket':
      return bucket.spend(next, spent);
    case 'concurrency':
      return next;
  }
}

/** The state after something that was spent at `spentAtMs` was given back; the same object where it no longer counts. */
export function givenBack(rule: Rule, state: LimitState, amount: number, spentAtMs: number): LimitState {
  switch (state.kind) {
    case 'window':
      return window.giveBack(rule as window.WindowRule, state, amount, spentAtMs);
    case 'calendar':
      return calendar.giveBack(rule as calendar.CalendarRule, state, amount, spentAtMs);
    case 'bucket':
      return bucket.spend(state, -amount);
    case 'concurrency':
      return state;
  }
}

/** How full the limit is for someone who needs `need` of it, for a state of the same moment. */
export function statusOf(rule: Rule, state: LimitState, need: number, nowMs: number): LimitStatus {
  const remaining = roomIn(rule, state);
  const spent = spentOf(rule, state);
  const isHeld = state.held > 0 ? HELD_RETRY_MS : 0;
  return {
    remaining,
    held: state.held,
    resetAfterMs: Math.max(isHeld, spent > 0 ? freeAfterMs(rule, state, spent, nowMs) : 0),
    retryAfterMs: need <= remaining ? 0 : retryAfterMs(rule, state, spent, need, nowMs),
  };
}

function retryAfterMs(rule: Rule, state: LimitState, spent: number, need: number, nowMs: number): number {
  const maximum = maximumOf(rule);
  if (need > maximum) return NEVER_MS;
  const excess = spent + need - maximum;
  return excess > 0 ? freeAfterMs(rule, state, excess, nowMs) : HELD_RETRY_MS;
}

/** Until `amount` of what was spent no longer counts; 0 < amount ≤ spent. */
function freeAfterMs(rule: Rule, state: LimitState, amount: number, nowMs: number): number {
  switch (state.kind) {
    case 'window':
      return window.freeAfterMs(rule as window.WindowRule, state, amount, nowMs);
    case 'calendar':
      return calendar.endOf(rule as calendar.CalendarRule, state.period) - nowMs;
    case 'bucket':
      return bucket.freeAfterMs(rule as bucket.BucketRule, state, amount);
    case 'concurrency':
      return 0;
  }
}
