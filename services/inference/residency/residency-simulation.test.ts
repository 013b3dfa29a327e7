import { expect, test, vi } from 'vitest';
import { randomScenario, rivals } from '../../../test/residency/random-scenario.ts';
import { type Outcome, type Scenario, simulate } from '../../../test/residency/simulated-node.ts';
import { decideResidency } from './residency-policy.ts';

// Much to compute, on a machine that may do other work.
vi.setConfig({ testTimeout: 300_000 });

const SEEDS = Array.from({ length: 300 }, (_, index) => index + 1);
const RULES = { minStayMs: 5_000, turnMs: 2_000 };

type Policy = typeof decideResidency;

/** What goes wrong, by kind, when a policy plays many scenarios. */
function violationsOf(policy: Policy, scenarios: Iterable<Scenario>): string {
  return [...scenarios].flatMap((scenario) => simulate(scenario, policy).violations).join('\n');
}

test('whatever comes, memory suffices, what runs stays, everybody is served in time, and idle nodes are empty', () => {
  const sum = { served: 0, swaps: 0, expired: 0, gaveUp: 0 };
  for (const seed of SEEDS) {
    const outcome: Outcome = simulate(randomScenario(seed), decideResidency);
    expect(outcome.violations, `seed ${seed}`).toEqual([]);
    for (const key of ['served', 'swaps', 'expired', 'gaveUp'] as const) sum[key] += outcome[key];
  }
  // The scenarios do what they are for.
  expect(sum.served).toBeGreaterThan(SEEDS.length * 100);
  for (const count of [sum.swaps, sum.expired, sum.gaveUp]) expect(count).toBeGreaterThan(SEEDS.length);
});

test.each([50, 150, 1_000])('two that are asked for every 100 ms, %i ms each, swap once per stay', (streamMs) => {
  const { violations, loads, served, longestWaitMs } = simulate(rivals(streamMs, RULES), decideResidency);
  expect(violations).toEqual([]);
  expect(served).toBe(1_200);
  // A minute of requests, and at most one round more for those who wait at its end.
  expect(loads).toBeLessThanOrEqual(60_000 / RULES.minStayMs + 2);
  const swapMs = streamMs + 200 + 1_000;
  expect(longestWaitMs).toBeLessThanOrEqual(2 * swapMs + RULES.minStayMs + RULES.turnMs);
});

/** A policy that sees other models or rules than there are. */
const seeing =
  (change: (...seen: Parameters<Policy>) => Parameters<Policy>): Policy =>
  (...seen) =>
    decideResidency(...change(...seen));

test('the simulation notices what each rule prevents', () => {
  const some = SEEDS.slice(0, 40).map(randomScenario);
  const noStay = seeing((models, nowMs, rules, fits) => [models, nowMs, { ...rules, minStayMs: 0 }, fits]);
  expect(violationsOf(noStay, [rivals(50, RULES)])).toContain('thrashes');
  const noTurn = seeing((models, nowMs, rules, fits) => [models, nowMs, { ...rules, turnMs: 1e9 }, fits]);
  expect(violationsOf(noTurn, [rivals(150, RULES)])).toContain('starves');
  const allIdle = seeing((models, ...rest) => [models.map((model) => ({ ...model, running: 0 })), ...rest]);
  expect(violationsOf(allIdle, some)).toContain('while it runs something');
  const allOnDemand = seeing((models, ...rest) => [models.map((model) => ({ ...model, onDemand: true })), ...rest]);
  expect(violationsOf(allOnDemand, some)).toContain('is not on demand');
  const boundless = seeing((models, nowMs, rules) => [models, nowMs, rules, () => true]);
  expect(violationsOf(boundless, some)).toContain('where there is no room');
});
