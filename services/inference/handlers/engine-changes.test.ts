import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import {
  type Engine,
  EngineFailureSchema,
  EngineSchema,
  EngineState,
} from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { EngineChanges, type EngineNews } from './engine-changes.ts';

const engine = (name: string, state: EngineState, rest: Partial<Engine> = {}): Engine => ({
  ...create(EngineSchema, { name, state }),
  ...rest,
});

/** Changes after their first snapshot, of which tests know that it comes. */
function changes(all: () => readonly Engine[], limit?: number): EngineChanges {
  const queue = new EngineChanges(all, limit);
  queue.take();
  return queue;
}

function rest(queue: EngineChanges): EngineNews[] {
  const news: EngineNews[] = [];
  for (let next = queue.take(); next; next = queue.take()) news.push(next);
  return news;
}

test('the first is a snapshot of the moment in which it is taken', () => {
  let now = [engine('a', EngineState.PENDING)];
  const queue = new EngineChanges(() => now);
  now = [engine('a', EngineState.STARTING)];
  queue.add(now[0] as Engine);
  expect(rest(queue)).toEqual([{ snapshot: true, engines: now }]);
});

test('changes of several engines come one by one, in their order', () => {
  const queue = changes(() => []);
  const all = [
    engine('a', EngineState.PLACED),
    engine('b', EngineState.PLACED),
    engine('a', EngineState.STARTING),
    engine('a', EngineState.READY),
    engine('b', EngineState.STARTING),
  ];
  for (const one of all) queue.add(one);
  expect(rest(queue)).toEqual(all.map((one) => ({ snapshot: false, engines: [one] })));
});

test('of the progress within a state that waits only the last is kept, in its place', () => {
  const queue = changes(() => [], 3);
  queue.add(engine('a', EngineState.STARTING));
  queue.add(engine('b', EngineState.READY));
  for (let percent = 0; percent <= 100; percent++) queue.add(engine('a', EngineState.STARTING, { percent }));
  queue.add(engine('a', EngineState.READY));
  const told = rest(queue).map(({ engines: [one] }) => [one?.name, one?.state, one?.percent]);
  expect(told).toEqual([
    ['a', EngineState.STARTING, 100],
    ['b', EngineState.READY, undefined],
    ['a', EngineState.READY, undefined],
  ]);
});

test('the same state for another reason is a change of its own', () => {
  const queue = changes(() => []);
  for (const hint of ['one', 'two']) {
    queue.add(engine('a', EngineState.UNHEALTHY, { failure: create(EngineFailureSchema, { hint }) }));
  }
  expect(rest(queue).map(({ engines: [one] }) => one?.failure?.hint)).toEqual(['one', 'two']);
});

test('up to the limit nothing is lost; beyond it a snapshot takes the place of all, and changes follow it again', () => {
  let all: Engine[] = [];
  const queue = changes(() => all, 1_000);
  const flip = (count: number) => {
    for (let index = 0; index < count; index++) {
      all = [engine('a', index % 2 === 0 ? EngineState.UNHEALTHY : EngineState.READY)];
      queue.add(all[0] as Engine);
    }
  };
  flip(1_000);
  expect(rest(queue)).toHaveLength(1_000);
  flip(100_001);
  const last = all;
  expect(queue.take()).toEqual({ snapshot: true, engines: last });
  expect(queue.take()).toBeUndefined();
  flip(1);
  expect(rest(queue)).toEqual([{ snapshot: false, engines: all }]);
});
