import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { admission, extension, outlook, released, type Standing, transition } from './admission.ts';
import { type LimitState, maximumOf, type Rule, spentOf, stateAt } from './budget.ts';
import { changeOf, ended, type Figures, needOf, type Unit } from './lease.ts';

const START_MS = Date.parse('2026-11-30T23:58:00.000Z');
const FIGURES: Figures = {
  ...{ state: 'held', isCounted: true, promptBound: 10, promptTokens: undefined },
  ...{ completionTokens: 0, coveredTokens: 20, maxCompletionTokens: 100 },
};
const day = (maximum: number): Rule => ({ kind: 'calendar', maximum, period: 'day' });
const fresh = (...limits: readonly (readonly [Unit, Rule])[]): Standing[] =>
  limits.map(([unit, rule]) => ({ unit, rule, state: stateAt(rule, undefined, START_MS) }));
const standing = (limits: readonly Standing[], states: readonly LimitState[]): Standing[] =>
  limits.map((limit, i) => ({ ...limit, state: states[i] as LimitState }));

describe('admission', () => {
  test('is by all limits or by none; a refusal hands back the very states that it was given', () => {
    const limits = fresh(['requests', day(1)], ['tokens', day(29)]);
    const refused = admission(limits, FIGURES, START_MS);
    expect(refused.isAdmitted).toBe(false);
    expect(refused.states.every((state, i) => state === limits[i]?.state)).toBe(true);
    expect(refused.statuses).toMatchObject([{ remaining: 1, retryAfterMs: 0 }, { remaining: 29 }]);
    expect(outlook(limits, FIGURES, START_MS)).toEqual(refused.statuses);
    expect(admission(fresh(['tokens', day(30)]), FIGURES, START_MS).statuses).toMatchObject([
      { remaining: 0, held: 30 },
    ]);
  });

  test('leaves limits alone that the operation does not touch, so that nothing is written for them', () => {
    const limits = fresh(['requests', day(9)], ['concurrent_requests', { kind: 'concurrency', maximum: 9 }]);
    const { states } = admission(limits, { ...FIGURES, isCounted: false }, START_MS);
    expect(states[0]).toBe(limits[0]?.state);
    expect(states[1]).toMatchObject({ held: 1 });
  });

  test('covers as much more as the tightest limit has room for', () => {
    const limits = fresh(['tokens', day(60)], ['completion_tokens', day(90)], ['requests', day(1)]);
    const begun = standing(limits, admission(limits, FIGURES, START_MS).states);
    const progress = { promptTokens: undefined, completionTokens: 0, wantedTokens: 500 };
    expect(extension(begun, FIGURES, progress).figures.coveredTokens).toBe(50);
    // A prompt that was shorter than its bound leaves room for the rest in the same step.
    expect(extension(begun, FIGURES, { ...progress, promptTokens: 4 }).figures.coveredTokens).toBe(56);
    expect(extension(begun, FIGURES, { ...progress, wantedTokens: 3 }).figures.coveredTokens).toBe(20);
  });

  test('of a released lease is as if it had never been', () => {
    const limits = fresh(['requests', day(3)], ['tokens', day(60)]);
    const begun = standing(limits, admission(limits, FIGURES, START_MS).states);
    expect(released(begun, FIGURES, ended(FIGURES, 'released'), START_MS)).toEqual(limits.map(({ state }) => state));
  });
});

/** Rules small enough that random work runs into all of them. */
const RULES: readonly (readonly [Unit, Rule])[] = [
  ['requests', { kind: 'window', maximum: 6, stepMs: 1_000, steps: 60 }],
  ['tokens', { kind: 'window', maximum: 90, stepMs: 1_000, steps: 60 }],
  ['tokens', day(400)],
  ['completion_tokens', { kind: 'bucket', refillPerMinute: 40, burst: 60 }],
  ['prompt_tokens', { kind: 'calendar', maximum: 300, period: 'month' }],
  ['concurrent_requests', { kind: 'concurrency', maximum: 3 }],
  ['concurrent_context_tokens', { kind: 'concurrency', maximum: 200 }],
];

const small = fc.nat({ max: 40 });
const step = fc.record({
  passedMs: fc.oneof(
    fc.constant(0),
    fc.nat({ max: 3_000 }),
    fc.nat({ max: 90_000 }),
    fc.integer({ min: -5_000, max: 0 }),
  ),
  what: fc.constantFrom('begin', 'begin', 'extend', 'extend', 'settle', 'expire', 'release'),
  which: fc.nat(),
  ...{ prompt: small, told: small, wanted: fc.nat({ max: 90 }) },
});

test('whatever happens in whatever order: no limit is ever over its maximum, held is the sum of all leases, at the end 0', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (sequence) => {
      let nowMs = START_MS;
      let kept: (LimitState | undefined)[] = [];
      const leases: { figures: Figures; takenAtMs: number }[] = [];
      const standings = (): Standing[] =>
        RULES.map(([unit, rule], i) => ({ unit, rule, state: stateAt(rule, kept[i], nowMs) }));
      const check = (): void => {
        for (const [i, { unit, rule, state }] of standings().entries()) {
          expect(spentOf(rule, state) + state.held).toBeLessThanOrEqual(maximumOf(rule));
          const held = leases.reduce((sum, { figures }) => sum + heldBy(unit, figures), 0);
          expect(state.held, `held of limit ${i}`).toBe(held);
        }
      };
      for (const { passedMs, what, which, prompt, told, wanted } of sequence) {
        nowMs += passedMs;
        const lease = leases[which % Math.max(1, leases.length)];
        if (what === 'begin') {
          const coveredTokens = Math.min(told, wanted);
          const figures = { ...FIGURES, promptBound: prompt, coveredTokens, maxCompletionTokens: wanted };
          const { isAdmitted, states } = admission(standings(), figures, nowMs);
          if (isAdmitted) leases.push({ figures, takenAtMs: nowMs });
          kept = [...states];
        } else if (lease && what === 'extend') {
          // An engine never gives more than is covered.
          const completionTokens = Math.min(told, lease.figures.coveredTokens);
          const promptTokens = which % 3 === 0 ? Math.min(prompt, lease.figures.promptBound) : undefined;
          const progress = { promptTokens, completionTokens, wantedTokens: wanted };
          const { figures, states } = extension(standings(), lease.figures, progress);
          lease.figures = figures;
          kept = states.slice();
        } else if (lease) {
          leases.splice(leases.indexOf(lease), 1);
          const { figures: from, takenAtMs } = lease;
          const used = { promptTokens: from.promptTokens ?? prompt, completionTokens: told + from.completionTokens };
          if (what === 'release') kept = released(standings(), from, ended(from, 'released'), takenAtMs);
          else if (what === 'expire') kept = transition(standings(), from, ended(from, 'expired'));
          else kept = transition(standings(), from, ended(from, 'settled', used));
        }
        check();
      }
      for (const { figures } of leases.splice(0)) kept = transition(standings(), figures, ended(figures, 'expired'));
      check();
      expect(standings().map(({ state }) => state.held)).toEqual(RULES.map(() => 0));
    }),
    { numRuns: 300 },
  );
});

/** What a lease holds of a limit: what would be returned if it ended now. */
function heldBy(unit: Unit, figures: Figures): number {
  return -changeOf(unit, figures, ended(figures, 'expired')).held;
}

test('what is needed at the beginning is what the beginning takes', () => {
  for (const [unit] of RULES) {
    const { spent, held } = changeOf(unit, undefined, FIGURES);
    expect(needOf(unit, FIGURES)).toBe(spent + held);
  }
});
