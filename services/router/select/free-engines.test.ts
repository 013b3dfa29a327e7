import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { EngineLoadSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { EngineLoads } from './engine-loads.ts';
import { FreeEngines } from './free-engines.ts';
import { routeOf } from './select.fixture.ts';
import { isFullForAll } from './verdict.ts';

/** Random numbers that repeat (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

test.each([1, 2, 3, 4])(
  'whatever happens to loads, they are those that a look at each would find (seed %i)',
  (seed) => {
    const random = randomOf(seed);
    const { ready } = routeOf(
      Array.from({ length: 30 }, (_, at) => ({
        name: `e${at}`,
        maxConcurrency: at % 3 === 0 ? 0 : 1 + (at % 4),
        maxConcurrentContextTokens: at % 5 === 0 ? 300 : 0,
      })),
    );
    const loads = new EngineLoads();
    const engines = new FreeEngines(ready, loads);
    const releases: (() => void)[] = [];
    for (let step = 0; step < 3_000; step += 1) {
      const id = ready[random(ready.length)]?.id ?? '';
      const kind = random(20);
      if (kind < 9) releases.push(loads.acquire(id, 100));
      else if (kind < 17) releases.splice(random(releases.length), 1)[0]?.();
      else if (kind < 19) loads.report(id, create(EngineLoadSchema, { running: random(5) }));
      else loads.forget(id);
      // Seldom enough, too, that not all changes are remembered any more.
      if (random(seed === 4 ? 1_500 : 7) > 0) continue;
      const expected = ready.filter((candidate) => !isFullForAll(candidate, loads.of(candidate.id)));
      expect(engines.free.map(({ id }) => id).toSorted()).toEqual(expected.map(({ id }) => id).toSorted());
    }
  },
);

test('engines without limits are never full', () => {
  const { ready } = routeOf([{ name: 'a' }, { name: 'b' }]);
  const loads = new EngineLoads();
  for (let i = 0; i < 100; i += 1) loads.acquire('n/a', 1_000);
  expect(new FreeEngines(ready, loads).free).toBe(ready);
});
