import type { Rule } from '../../services/quota/budget.ts';
import type { Unit } from '../../services/quota/lease.ts';
import type { LeaseFigures, StoreStep } from './history.ts';
import { heldOf, spentOf } from './lease-claims.ts';

/** How full a limit ever was. */
export interface Fullness {
  readonly counter: string;
  readonly maximum: number;
  /** The most that was settled and held at one instant. */
  readonly most: number;
}

/** One thing that was spent: never summed up, never rounded to a step. */
interface Spend {
  readonly atMs: number;
  readonly amount: number;
  readonly leaseId: string;
}

/** What fractions of buckets may be off. */
const ROUNDING = 1e-6;

interface Counter {
  held: number;
  spends: Spend[];
  /** The sum of `spends` that still count. */
  spent: number;
  maximum: number;
  most: number;
}

/**
 * Limits as one would count them without a thought for cost: every spend with its own time. It shares nothing with the
 * arithmetic of the stores, so that it cannot share a mistake with it.
 */
export class NaiveLimits {
  readonly #counters = new Map<string, Counter>();
  readonly #figures = new Map<string, LeaseFigures>();
  /** Tokens of late settlements for which limits had no room any more, summed over limits. */
  beyondLimits = 0;

  /** Takes a step, and tells what is over its limit after it. */
  take(step: StoreStep): string[] {
    const before = this.#figures.get(step.leaseId);
    this.#figures.set(step.leaseId, step.figures);
    const wrong: string[] = [];
    for (const { counter: name, unit, rule } of step.limits) {
      const counter = this.#counter(name, rule);
      forget(counter, rule, step.atMs);
      counter.held += heldOf(unit, step.figures) - (before ? heldOf(unit, before) : 0);
      this.#spend(counter, { unit, rule }, before, step);
      const sum = counter.spent + counter.held;
      counter.most = Math.max(counter.most, sum);
      if (sum > counter.maximum + ROUNDING) {
        wrong.push(`${name}: ${counter.spent} settled + ${counter.held} held > ${counter.maximum}`);
      }
    }
    return wrong;
  }

  /** What a counter holds. */
  held(counter: string): number {
    return this.#counters.get(counter)?.held ?? 0;
  }

  /** Counters that hold something. */
  holding(): ReadonlyMap<string, number> {
    return new Map([...this.#counters].filter(([, { held }]) => held !== 0).map(([name, { held }]) => [name, held]));
  }

  /** How full every limit ever was. */
  fullness(): Fullness[] {
    return [...this.#counters].map(([counter, { maximum, most }]) => ({ counter, maximum, most }));
  }

  #counter(name: string, rule: Rule): Counter {
    const maximum = rule.kind === 'bucket' ? rule.burst : rule.maximum;
    const known = this.#counters.get(name) ?? { held: 0, spends: [], spent: 0, maximum, most: 0 };
    known.maximum = maximum;
    this.#counters.set(name, known);
    return known;
  }

  #spend(
    counter: Counter,
    { unit, rule }: { readonly unit: Unit; readonly rule: Rule },
    before: LeaseFigures | undefined,
    { figures, leaseId, atMs }: StoreStep,
  ): void {
    const amount = spentOf(unit, figures) - (before ? spentOf(unit, before) : 0);
    if (amount < 0 && rule.kind !== 'bucket') {
      // Given back at the time at which it was spent: as if it had never been.
      counter.spends = counter.spends.filter((spend) => spend.leaseId !== leaseId);
      counter.spent = counter.spends.reduce((sum, spend) => sum + spend.amount, 0);
    } else if (amount !== 0) {
      // The tokens of a lease that had expired were given to others meanwhile: of those only what fits counts.
      const isLate = before?.state === 'expired';
      const counted = isLate ? Math.max(0, Math.min(amount, counter.maximum - counter.spent - counter.held)) : amount;
      this.beyondLimits += amount - counted;
      counter.spends.push({ atMs, amount: counted, leaseId });
      counter.spent += counted;
    }
  }
}

/** Drops what no longer counts at a moment. */
function forget(counter: Counter, rule: Rule, nowMs: number): void {
  if (rule.kind === 'bucket') {
    drain(counter, rule.refillPerMinute, nowMs);
    return;
  }
  const counts = (atMs: number): boolean => {
    if (rule.kind === 'window') return atMs > nowMs - rule.stepMs * rule.steps;
    const letters = rule.kind === 'calendar' && rule.period === 'day' ? 10 : 7;
    return new Date(atMs).toISOString().slice(0, letters) === new Date(nowMs).toISOString().slice(0, letters);
  };
  while (counter.spends[0] && !counts(counter.spends[0].atMs)) counter.spent -= counter.spends.shift()?.amount ?? 0;
}

/** Of a bucket one spend is kept: what has not been refilled, to the last fraction. */
function drain(counter: Counter, refillPerMinute: number, nowMs: number): void {
  const owed = counter.spends.reduce((level, { amount, atMs }, i) => {
    const next = counter.spends[i + 1]?.atMs ?? nowMs;
    return Math.max(0, level + amount - ((next - atMs) * refillPerMinute) / 60_000);
  }, 0);
  counter.spends = owed > 0 ? [{ atMs: nowMs, amount: owed, leaseId: '' }] : [];
  counter.spent = owed;
}
