import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { EngineSchema, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { Candidate } from '../fleet/snapshot.ts';
import { InFlight } from './in-flight.ts';
import { powerOfTwo } from './power-of-two.ts';
import { areUnloaded, select } from './select.ts';

type EngineInit = { state?: EngineState; maxConcurrency?: number; onDemand?: boolean; unloaded?: boolean };

function candidate(name: string, { draining = false, ...init }: EngineInit & { draining?: boolean } = {}): Candidate {
  const engine = create(EngineSchema, { name, state: EngineState.READY, ...init });
  return { id: `n/${name}`, node: 'n', address: '', draining, engine };
}
const input = { pinned: '', inFlight: () => 0, random: Math.random };

test('only an engine that is ready, not draining and below its concurrency is chosen', () => {
  const candidates = [
    candidate('starting', { state: EngineState.STARTING }),
    candidate('draining', { draining: true }),
    candidate('full', { maxConcurrency: 2 }),
    candidate('good'),
  ];
  const inFlight = (id: string) => (id === 'n/full' ? 2 : 0);
  for (let i = 0; i < 20; i += 1) expect(select(candidates, { ...input, inFlight })?.engine.name).toBe('good');
  expect(select(candidates.slice(0, 3), { ...input, inFlight })).toBeUndefined();
});

const chosen = (...candidates: Candidate[]) => select(candidates, input)?.engine.name;
const { STARTING, STOPPED, SLEEPING, BACKOFF, UNHEALTHY, QUARANTINED, UNSPECIFIED, READY } = EngineState;

test('an engine that comes on demand is chosen when none is ready, wherever it is in coming and going', () => {
  for (const state of Object.values(EngineState)) {
    const comes = ![UNSPECIFIED, BACKOFF, UNHEALTHY, QUARANTINED].includes(state as never);
    expect([state, chosen(candidate('a', { state, onDemand: true }))]).toEqual([state, comes ? 'a' : undefined]);
    expect([state, chosen(candidate('a', { state }))]).toEqual([state, state === READY ? 'a' : undefined]);
  }
});

test('a ready engine comes before one that would have to be loaded, unless it is full', () => {
  const asleep = candidate('asleep', { state: SLEEPING, onDemand: true });
  for (let i = 0; i < 20; i += 1) expect(chosen(asleep, candidate('ready'))).toBe('ready');
  const inFlight = (id: string) => (id === 'n/full' ? 1 : 0);
  const full = candidate('full', { maxConcurrency: 1 });
  expect(select([asleep, full], { ...input, inFlight })?.engine.name).toBe('asleep');
});

test('nothing comes that was unloaded by hand, on a node that drains, or with all that it may run waiting for it', () => {
  const stopped = { state: STOPPED, onDemand: true };
  expect(chosen(candidate('a', { ...stopped, unloaded: true }))).toBeUndefined();
  expect(chosen(candidate('a', { onDemand: true, unloaded: true }))).toBeUndefined();
  expect(chosen(candidate('a', { ...stopped, draining: true }))).toBeUndefined();
  const full = candidate('a', { ...stopped, maxConcurrency: 1 });
  expect(select([full], { ...input, inFlight: () => 1 })).toBeUndefined();
});

test('of several that would come one is drawn as of those that are ready', () => {
  const candidates = ['a', 'b'].map((name) => candidate(name, { state: STARTING, onDemand: true }));
  const inFlight = (id: string) => (id === 'n/a' ? 3 : 0);
  for (let i = 0; i < 20; i += 1) expect(select(candidates, { ...input, inFlight })?.engine.name).toBe('b');
});

test('unloaded is a model only when every engine that is meant was unloaded by hand', () => {
  const unloaded = candidate('a', { state: STOPPED, unloaded: true });
  expect(areUnloaded([unloaded], '')).toBe(true);
  expect(areUnloaded([unloaded, candidate('b', { state: BACKOFF })], '')).toBe(false);
  expect(areUnloaded([unloaded, candidate('b', { state: BACKOFF })], 'a')).toBe(true);
  expect(areUnloaded([unloaded], 'c')).toBe(false);
  expect(areUnloaded([], '')).toBe(false);
});

test('a pin leaves one engine', () => {
  const candidates = [candidate('a'), candidate('b')];
  expect(select(candidates, { ...input, pinned: 'b' })?.engine.name).toBe('b');
  expect(select(candidates, { ...input, pinned: 'c' })).toBeUndefined();
});

test('of two drawn the less loaded wins, whatever is drawn', () => {
  const load = new Map([
    ['a', 3],
    ['b', 1],
  ]);
  for (const random of [() => 0, () => 0.99]) {
    expect(powerOfTwo(['a', 'b'], (item) => load.get(item) ?? 0, random)).toBe('b');
  }
});

test('with many items load spreads: none gets more than twice the mean', () => {
  const counts = new Map<number, number>(Array.from({ length: 10 }, (_, i) => [i, 0]));
  for (let i = 0; i < 1000; i += 1) {
    const chosen = powerOfTwo([...counts.keys()], (item) => counts.get(item) ?? 0, Math.random);
    if (chosen !== undefined) counts.set(chosen, (counts.get(chosen) ?? 0) + 1);
  }
  expect(Math.max(...counts.values())).toBeLessThan(200);
});

test('what is counted in is counted out once', () => {
  const inFlight = new InFlight();
  const first = inFlight.acquire('x');
  inFlight.acquire('x');
  first();
  first();
  expect(inFlight.count('x')).toBe(1);
});
