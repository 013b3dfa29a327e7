import { expect, test } from 'vitest';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { EngineGate, type Limited } from './engine-gate.ts';
import { EngineLoad } from './supervisor/engine-load.ts';

const gone = new MeshError('CLIENT_GONE', 'gone');

/** An engine, and requests for it that are told apart by number. */
function engineOf(entry: Limited['entry'], waitMs = 60_000) {
  const gate = new EngineGate(waitMs);
  const load = new EngineLoad();
  const engine: Limited = { name: 'e', entry, status: { load } };
  const ran: number[] = [];
  const refused: string[] = [];
  const ends = new Map<number, () => void>();
  let count = 0;
  return {
    load,
    ran,
    refused,
    /** Ends request `number`. */
    end: (number: number) => ends.get(number)?.(),
    enter(contextTokens = 0) {
      const number = count++;
      const controller = new AbortController();
      gate.enter(engine, {
        contextTokens,
        signal: controller.signal,
        go() {
          const running = { paused: false, begun: false, contextTokens };
          const leave = load.add(running);
          ran.push(number);
          ends.set(number, leave);
        },
        refuse: ({ reason }) => refused.push(`${number} ${reason}`),
      });
      return { leave: () => controller.abort(gone) };
    },
  };
}

test('no more run than may; the others follow in their order', () => {
  const { enter, end, ran, load } = engineOf({ max_concurrency: 2, max_concurrent_context_tokens: undefined });
  for (let i = 0; i < 5; i += 1) enter();
  expect(ran).toEqual([0, 1]);
  end(1);
  expect(ran).toEqual([0, 1, 2]);
  end(0);
  end(2);
  expect(ran).toEqual([0, 1, 2, 3, 4]);
  expect(load.running).toBe(2);
});

test('no more context is filled than may be, and nobody gets in before who came earlier', () => {
  const { enter, end, ran } = engineOf({ max_concurrency: undefined, max_concurrent_context_tokens: 100 });
  for (const tokens of [60, 30, 50, 10]) enter(tokens);
  expect(ran).toEqual([0, 1]);
  end(1);
  expect(ran).toEqual([0, 1]);
  end(0);
  expect(ran).toEqual([0, 1, 2, 3]);
});

test('a request that is larger than the limit runs alone', () => {
  const { enter, end, ran } = engineOf({ max_concurrency: undefined, max_concurrent_context_tokens: 100 });
  enter(1_000);
  enter(1);
  expect(ran).toEqual([0]);
  end(0);
  expect(ran).toEqual([0, 1]);
  enter(1_000);
  expect(ran).toEqual([0, 1]);
  end(1);
  expect(ran).toEqual([0, 1, 2]);
});

test('an engine without limits takes all', () => {
  const { enter, ran } = engineOf({ max_concurrency: undefined, max_concurrent_context_tokens: undefined });
  for (let i = 0; i < 100; i += 1) enter(1_000_000);
  expect(ran).toHaveLength(100);
});

test('who leaves while he waits makes way for those behind him', () => {
  const { enter, ran, refused, end } = engineOf({ max_concurrency: undefined, max_concurrent_context_tokens: 100 });
  enter(90);
  const large = enter(100);
  enter(10);
  expect(ran).toEqual([0]);
  large.leave();
  expect([ran, refused]).toEqual([[0, 2], ['1 CLIENT_GONE']]);
  end(0);
  expect(ran).toEqual([0, 2]);
});

test('more than a few do not wait', () => {
  const { enter, refused } = engineOf({ max_concurrency: 1, max_concurrent_context_tokens: undefined });
  for (let i = 0; i < 18; i += 1) enter();
  expect(refused).toEqual(['17 ENGINE_BUSY']);
});

test('nobody waits for long', async () => {
  const { enter, end, ran, refused } = engineOf({ max_concurrency: 1, max_concurrent_context_tokens: undefined }, 20);
  enter();
  enter();
  await expect.poll(() => refused).toEqual(['1 ENGINE_BUSY']);
  end(0);
  expect(ran).toEqual([0]);
});
