import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { EngineSchema, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { Candidate } from '../fleet/snapshot.ts';
import { InFlight } from './in-flight.ts';
import { powerOfTwo } from './power-of-two.ts';
import { select } from './select.ts';

function candidate(
  name: string,
  init: { state?: EngineState; maxConcurrency?: number; draining?: boolean } = {},
): Candidate {
  const engine = create(EngineSchema, {
    name,
    state: init.state ?? EngineState.READY,
    maxConcurrency: init.maxConcurrency ?? 0,
  });
  return { id: `n/${name}`, node: 'n', address: '', draining: init.draining ?? false, engine };
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
