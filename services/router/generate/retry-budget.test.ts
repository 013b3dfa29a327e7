import { expect, test } from 'vitest';
import { RetryBudget } from './retry-budget.ts';

const spendAll = (budget: RetryBudget): number => {
  let spent = 0;
  while (budget.spend()) spent += 1;
  return spent;
};

test('when everything fails, retries add a tenth to the load, and ten at the start', () => {
  const budget = new RetryBudget(0.1);
  let retries = 0;
  for (let i = 0; i < 10_000; i += 1) {
    budget.earn();
    if (budget.spend()) retries += 1;
  }
  expect(retries).toBeGreaterThan(1_000);
  expect(retries).toBeLessThanOrEqual(1_010);
});

test('after quiet times a hundred may be tried again at once', () => {
  const budget = new RetryBudget(0.1);
  for (let i = 0; i < 10_000; i += 1) budget.earn();
  expect(spendAll(budget)).toBe(100);
});

test('without a share there are none', () => {
  const budget = new RetryBudget(0);
  budget.earn();
  expect(spendAll(budget)).toBe(0);
});
