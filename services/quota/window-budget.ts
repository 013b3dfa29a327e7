/**
 * At most `maximum` in any window of `steps` steps. What was spent is counted per step, over one step more: a window may
 * begin in the midst of its first step, which then counts whole. So the limit is never exceeded and frees at most one step
 * late.
 */
export interface WindowRule {
  readonly kind: 'window';
  /** Below 2^32. */
  readonly maximum: number;
  /** Length of one step in milliseconds. */
  readonly stepMs: number;
  readonly steps: number;
}

/** What was taken from a window. Only steps in which something was spent are kept: most windows of most callers have few. */
export interface WindowState {
  readonly kind: 'window';
  readonly held: number;
  /** Number of the latest step, counted from the epoch. */
  readonly newestStep: number;
  /** What still counts. */
  readonly spent: number;
  /** The number of a step, then what was spent in it, and so on, the oldest first. */
  readonly steps: readonly number[];
}

/**
 * The state as it stands at `nowMs`. After a clock went back what was spent ages from there: nothing is freed, nobody is
 * locked out.
 */
export function stateAt(rule: WindowRule, kept: WindowState | undefined, nowMs: number): WindowState {
  const newestStep = Math.floor(nowMs / rule.stepMs);
  if (!kept) return { kind: 'window', held: 0, newestStep, spent: 0, steps: NO_STEPS };
  const { held } = kept;
  const shift = newestStep - kept.newestStep;
  if (shift === 0) return kept;
  let { spent, steps } = kept;
  if (shift < 0) {
    steps = steps.map((value, i) => (i % 2 === 0 ? value + shift : value));
  } else {
    let first = 0;
    for (; first < steps.length && (steps[first] ?? 0) < newestStep - rule.steps; first += 2)
      spent -= steps[first + 1] ?? 0;
    if (first > 0) steps = steps.slice(first);
  }
  return { kind: 'window', held, newestStep, spent, steps };
}

const NO_STEPS: readonly number[] = [];

/** The state after `amount` more was spent. */
export function spend(state: WindowState, amount: number): WindowState {
  const { held, newestStep } = state;
  const steps = state.steps.slice();
  if (steps.at(-2) === newestStep) steps.push((steps.pop() ?? 0) + amount);
  else steps.push(newestStep, amount);
  return { kind: 'window', held, newestStep, spent: state.spent + amount, steps };
}

/** The state without `amount` of what was spent at `spentAtMs`. */
export function giveBack(rule: WindowRule, state: WindowState, amount: number, spentAtMs: number): WindowState {
  const step = Math.floor(spentAtMs / rule.stepMs);
  const at = state.steps.findIndex((value, i) => i % 2 === 0 && value === step);
  if (at < 0) return state;
  const count = state.steps[at + 1] ?? 0;
  const left = Math.max(0, count - amount);
  const steps = left > 0 ? state.steps.with(at + 1, left) : state.steps.toSpliced(at, 2);
  return { ...state, steps, spent: state.spent - count + left };
}

/** Until `amount` of what was spent no longer counts, the oldest first. */
export function freeAfterMs(rule: WindowRule, state: WindowState, amount: number, nowMs: number): number {
  let step = state.newestStep;
  for (let [left, i] = [amount, 0]; left > 0 && i < state.steps.length; i += 2) {
    step = state.steps[i] ?? 0;
    left -= state.steps[i + 1] ?? 0;
  }
  return (step + rule.steps + 1) * rule.stepMs - nowMs;
}
