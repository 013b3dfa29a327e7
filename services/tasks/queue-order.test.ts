import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nextHead, tagOf } from './queue-order.ts';

/** Plays one line: tasks are accepted and given out as the list says; returns whose turn each was and what it cost. */
function play(steps: readonly ({ organization: string; cost: number } | 'turn')[]) {
  let servedTag = 0;
  const last = new Map<string, number>();
  const waiting: { organization: string; cost: number; tag: number }[] = [];
  const turns: { organization: string; cost: number }[] = [];
  for (const step of steps) {
    if (step === 'turn') {
      waiting.sort((a, b) => a.tag - b.tag);
      const next = waiting.shift();
      if (!next) continue;
      servedTag = Math.max(servedTag, next.tag);
      turns.push(next);
    } else {
      const tag = tagOf({ servedTag, lastTag: last.get(step.organization) }, step.cost);
      last.set(step.organization, tag);
      waiting.push({ ...step, tag });
    }
  }
  return turns;
}

const task = fc.record({ organization: fc.constantFrom('a', 'b', 'c'), cost: fc.integer({ min: 1, max: 100 }) });

test('while all wait, no organisation gets more than another by more than the cost of two tasks', () => {
  fc.assert(
    fc.property(fc.array(task, { minLength: 30, maxLength: 200 }), (tasks) => {
      const turns = play([...tasks, ...tasks.map(() => 'turn' as const)]);
      const total = (name: string) => sum(tasks.filter(({ organization }) => organization === name));
      const got = new Map<string, number>([...'abc'].map((name) => [name, 0]));
      for (const { organization, cost } of turns) {
        got.set(organization, (got.get(organization) ?? 0) + cost);
        const backlogged = [...got].filter(([name, cost]) => cost < total(name)).map(([, cost]) => cost);
        if (backlogged.length > 1) expect(Math.max(...backlogged) - Math.min(...backlogged)).toBeLessThanOrEqual(200);
      }
      expect(turns).toHaveLength(tasks.length);
    }),
  );
});

test('one that floods delays a newcomer by one task of each', () => {
  const flood = Array.from({ length: 1_000 }, () => ({ organization: 'flood', cost: 10 }));
  const turns = play([...flood, 'turn', 'turn', { organization: 'quiet', cost: 10 }, 'turn', 'turn']);
  expect(turns.slice(2).map(({ organization }) => organization)).toContain('quiet');
});

test('the highest level is next, where waiting raises; then the smaller tag', () => {
  const head = (priority: number, tag: number, submittedAtMs: number) => ({ priority, tag, submittedAtMs });
  const [low, high] = [head(0, 1, 0), head(2, 9, 0)];
  expect(nextHead([low, high], 0, 1_000)).toBe(high);
  expect(nextHead([head(0, 1, 0), head(2, 9, 3_000)], 3_000, 1_000)).toMatchObject({ priority: 0 });
  expect(nextHead([head(1, 5, 0), head(0, 4, -1_000)], 0, 1_000)).toMatchObject({ tag: 4 });
  expect(nextHead([], 0, 1_000)).toBeUndefined();
});

function sum(tasks: readonly { readonly cost: number }[]): number {
  return tasks.reduce((total, { cost }) => total + cost, 0);
}
