/** At most `maximum` per UTC day or month. What is told after midnight counts for the new day. */
export interface CalendarRule {
  readonly kind: 'calendar';
  readonly maximum: number;
  readonly period: 'day' | 'month';
}

/** What was taken from a day or a month. */
export interface CalendarState {
  readonly kind: 'calendar';
  readonly held: number;
  /** Days since 1970-01-01, or months since January of year 0. */
  readonly period: number;
  readonly spent: number;
}

const DAY_MS = 86_400_000;

/**
 * The state as it stands at `nowMs`. A clock that went back frees nothing. What was spent stays with its period while the
 * clock shows the one before, or a step back over midnight would give the new day twice; further back it counts for the
 * period that the clock shows, so that nobody is locked out for long. Where nothing was spent or is held, there is nothing to stay.
 */
export function stateAt(rule: CalendarRule, kept: CalendarState | undefined, nowMs: number): CalendarState {
  const period = periodAt(rule, nowMs);
  if (!kept) return { kind: 'calendar', held: 0, period, spent: 0 };
  if (kept.period === period + 1 && (kept.spent > 0 || kept.held > 0)) return kept;
  return { ...kept, period, spent: period > kept.period ? 0 : kept.spent };
}

/** The state without `amount` of what was spent at `spentAtMs`. */
export function giveBack(rule: CalendarRule, state: CalendarState, amount: number, spentAtMs: number): CalendarState {
  if (periodAt(rule, spentAtMs) !== state.period) return state;
  return { ...state, spent: Math.max(0, state.spent - amount) };
}

/** When a period ends, in milliseconds since the epoch. */
export function endOf(rule: CalendarRule, period: number): number {
  return rule.period === 'day' ? (period + 1) * DAY_MS : Date.UTC(Math.floor(period / 12), (period % 12) + 1);
}

function periodAt(rule: CalendarRule, nowMs: number): number {
  if (rule.period === 'day') return Math.floor(nowMs / DAY_MS);
  const date = new Date(nowMs);
  return date.getUTCFullYear() * 12 + date.getUTCMonth();
}
