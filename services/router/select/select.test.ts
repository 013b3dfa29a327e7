import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { EngineLoadSchema, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { EngineLoads } from './engine-loads.ts';
import { featuresOf } from './features.ts';
import { type EngineInit, inputOf, requestOf, routeOf } from './select.fixture.ts';
import { areUnloaded, type SelectInput, select } from './select.ts';

const { STARTING, STOPPED, SLEEPING, BACKOFF, UNHEALTHY, QUARANTINED, UNSPECIFIED, READY } = EngineState;

/** The names of those that many draws lead to. */
function chosen(engines: readonly EngineInit[], input: Partial<SelectInput> = {}): string[] {
  const route = routeOf(engines);
  const names = new Set<string>();
  for (let i = 0; i < 40; i += 1) names.add(select(route, inputOf(input))?.candidate.engine.name ?? 'none');
  return [...names].sort();
}

/** Loads with so many requests of 1,000 tokens each. */
function loadsOf(requests: Record<string, number>): EngineLoads {
  const loads = new EngineLoads();
  for (const [name, count] of Object.entries(requests)) {
    for (let i = 0; i < count; i += 1) loads.acquire(`n/${name}`, 1_000);
  }
  return loads;
}

test('only an engine that is ready, not draining and below its concurrency is chosen', () => {
  const engines = [
    { name: 'starting', state: STARTING },
    { name: 'draining', draining: true },
    { name: 'full', maxConcurrency: 2 },
    { name: 'good' },
  ];
  const loads = loadsOf({ full: 2 });
  expect(chosen(engines, { loads })).toEqual(['good']);
  expect(chosen(engines.slice(0, 3), { loads })).toEqual(['none']);
});

test('an engine that comes on demand is chosen when none is ready, wherever it is in coming and going', () => {
  for (const state of Object.values(EngineState)) {
    const comes = ![UNSPECIFIED, BACKOFF, UNHEALTHY, QUARANTINED].includes(state as never);
    expect([state, chosen([{ name: 'a', state, onDemand: true }])]).toEqual([state, [comes ? 'a' : 'none']]);
    expect([state, chosen([{ name: 'a', state }])]).toEqual([state, [state === READY ? 'a' : 'none']]);
  }
});

test('a ready engine comes before one that would have to be loaded, unless it is full', () => {
  const asleep = { name: 'asleep', state: SLEEPING, onDemand: true };
  expect(chosen([asleep, { name: 'ready' }])).toEqual(['ready']);
  expect(chosen([asleep, { name: 'full', maxConcurrency: 1 }], { loads: loadsOf({ full: 1 }) })).toEqual(['asleep']);
});

test('nothing comes that was unloaded by hand, on a node that drains, or with all that it may run waiting for it', () => {
  const stopped = { name: 'a', state: STOPPED, onDemand: true };
  expect(chosen([{ ...stopped, unloaded: true }])).toEqual(['none']);
  expect(chosen([{ name: 'a', onDemand: true, unloaded: true }])).toEqual(['none']);
  expect(chosen([{ ...stopped, draining: true }])).toEqual(['none']);
  expect(chosen([{ ...stopped, maxConcurrency: 1 }], { loads: loadsOf({ a: 1 }) })).toEqual(['none']);
});

test('unloaded is a model only when every engine that is meant was unloaded by hand', () => {
  const unloaded = { name: 'a', state: STOPPED, unloaded: true };
  const both = routeOf([unloaded, { name: 'b', state: BACKOFF }]).candidates;
  expect(areUnloaded(routeOf([unloaded]).candidates, '')).toBe(true);
  expect(areUnloaded(both, '')).toBe(false);
  expect(areUnloaded(both, 'a')).toBe(true);
  expect(areUnloaded(both, 'c')).toBe(false);
  expect(areUnloaded([], '')).toBe(false);
});

test('a pin leaves one engine, by its name or with its node', () => {
  const pinned = (engine: string) =>
    chosen([{ name: 'a' }, { name: 'b' }], { features: featuresOf(requestOf({ engine })) });
  expect(pinned('b')).toEqual(['b']);
  expect(pinned('n/b')).toEqual(['b']);
  expect(pinned('d/b')).toEqual(['none']);
  expect(pinned('c')).toEqual(['none']);
});

test('what is excluded is not chosen', () => {
  expect(chosen([{ name: 'a' }, { name: 'b' }], { excluded: ({ engine }) => engine.name === 'a' })).toEqual(['b']);
});

test('load is counted in tokens: one long request weighs more than several short ones', () => {
  const loads = new EngineLoads();
  loads.acquire('n/long', 8_000);
  for (let i = 0; i < 4; i += 1) loads.acquire('n/short', 500);
  expect(chosen([{ name: 'long' }, { name: 'short' }], { loads })).toEqual(['short']);
});

test('what others run on an engine, and how full its cache is, weigh too', () => {
  const loads = new EngineLoads();
  loads.report('n/busy', create(EngineLoadSchema, { running: 3 }));
  loads.report('n/full', create(EngineLoadSchema, { kvCacheUsed: 0.9 }));
  expect(chosen([{ name: 'busy' }, { name: 'idle' }], { loads })).toEqual(['idle']);
  expect(chosen([{ name: 'full' }, { name: 'idle' }], { loads })).toEqual(['idle']);
});

test('an engine of weight 3 gets three requests for each that one of weight 1 gets', () => {
  const route = routeOf([{ name: 'big' }, { name: 'small' }], { aliases: {}, weights: { big: 3 } });
  const loads = new EngineLoads();
  const counts = { big: 0, small: 0 };
  for (let i = 0; i < 400; i += 1) {
    const name = select(route, inputOf({ loads }))?.candidate.engine.name as 'big' | 'small';
    counts[name] += 1;
    loads.acquire(`n/${name}`, 1_000);
  }
  expect(counts.big / counts.small).toBeGreaterThan(2.8);
  expect(counts.big / counts.small).toBeLessThan(3.2);
});

test('the engine that knows the start of the prompt is kept within the bound of the best, and not beyond', () => {
  const engines = [{ name: 'knows' }, { name: 'other' }];
  const kept = (requests: number, more: Partial<SelectInput> = {}) =>
    chosen(engines, { affine: 'n/knows', loads: loadsOf({ knows: requests }), ...more });
  // 1,000 tokens of its own each: with one there twice as much as elsewhere, with two three times.
  expect(kept(1)).toEqual(['knows']);
  expect(kept(2)).toEqual(['other']);
  expect(kept(2, { affinityBound: 3 })).toEqual(['knows']);
  expect(kept(0, { affinityBound: 0 })).toEqual(['knows', 'other']);
  expect(chosen([{ name: 'knows', state: UNHEALTHY }, { name: 'other' }], { affine: 'n/knows' })).toEqual(['other']);
  expect(chosen(engines, { affine: 'n/gone' })).toEqual(['knows', 'other']);
});

test('a session stays at its engine whatever the load is; when that goes, only its own sessions move', () => {
  const names = ['a', 'b', 'c', 'd'];
  const leadsTo = (session: string, engines: EngineInit[], input: Partial<SelectInput> = {}) =>
    chosen(engines, { ...input, features: featuresOf(requestOf({ session })) });
  const moved: string[] = [];
  const seen = new Set<string>();
  for (let i = 0; i < 40; i += 1) {
    const all = leadsTo(
      `s${i}`,
      names.map((name) => ({ name })),
    );
    expect(all).toHaveLength(1);
    expect(
      leadsTo(
        `s${i}`,
        names.map((name) => ({ name })),
        { loads: loadsOf({ [all[0] ?? '']: 9 }) },
      ),
    ).toEqual(all);
    seen.add(all[0] ?? '');
    const without = leadsTo(
      `s${i}`,
      names.map((name) => ({ name, ...(name === 'b' ? { state: BACKOFF } : {}) })),
    );
    if (without[0] !== all[0]) moved.push(all[0] ?? '');
  }
  expect([...seen].sort()).toEqual(names);
  expect(new Set(moved)).toEqual(new Set(['b']));
});

test('with many engines load spreads: none gets more than twice the mean', () => {
  const names = Array.from({ length: 10 }, (_, i) => `e${i}`);
  const route = routeOf(names.map((name) => ({ name })));
  const loads = new EngineLoads();
  for (let i = 0; i < 1_000; i += 1) {
    const id = select(route, inputOf({ loads }))?.candidate.id;
    if (id !== undefined) loads.acquire(id, 100 + (i % 7) * 300);
  }
  const requests = names.map((name) => loads.of(`n/${name}`).requests);
  expect(requests.reduce((sum, count) => sum + count)).toBe(1_000);
  expect(Math.max(...requests)).toBeLessThan(200);
});

test('one engine with room among many that are full is found', () => {
  const names = Array.from({ length: 200 }, (_, i) => `e${i}`);
  const loads = loadsOf(Object.fromEntries(names.slice(1).map((name) => [name, 1])));
  expect(
    chosen(
      names.map((name) => ({ name, maxConcurrency: 1 })),
      { loads },
    ),
  ).toEqual(['e0']);
});
