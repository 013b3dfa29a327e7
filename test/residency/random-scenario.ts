import type { Happening, Scenario, SimulatedModel } from './simulated-node.ts';

/** How long requests come, in milliseconds. */
const BUSY_MS = 60_000;
const REQUESTS = 250;

/** A node with one to three devices, two to seven models on demand that do not all fit, and requests; the same for the same seed. */
export function randomScenario(seed: number): Scenario {
  const random = generator(seed);
  const between = (least: number, most: number): number => Math.floor(least + random() * (most - least + 1));
  const oneOf = <One>(...ones: readonly One[]): One => ones[between(0, ones.length - 1)] as One;
  const chance = (share: number): boolean => random() < share;

  const sizesGib = Array.from({ length: between(1, 3) }, () => oneOf(24, 48, 80));
  const smallestGib = Math.min(...sizesGib);
  const model = (index: number): SimulatedModel => ({
    name: `m${index}`,
    onDemand: true,
    gib: between(4, chance(0.1) ? 80 : smallestGib),
    count: chance(0.2) ? Math.min(2, sizesGib.length) : 1,
    ...(chance(0.2) && { only: [...new Set([0, between(0, sizesGib.length - 1)])] }),
    loadMs: between(500, 8_000),
    unloadMs: between(100, 2_000),
    ttlMs: oneOf(0, 3_000, 30_000),
    asleepGib: chance(0.3) ? oneOf(1, 2, 4) : undefined,
  });
  const guests = Array.from({ length: between(2, 7) }, (_, index) => model(index));
  const host: SimulatedModel = { name: 'host', onDemand: false, gib: between(1, 10), loadMs: 2_000, unloadMs: 500 };
  const longestStreamMs = oneOf(100, 3_000, 15_000);
  const happenings = Array.from({ length: REQUESTS }, (): Happening => {
    const common = { atMs: between(0, BUSY_MS), streamMs: between(1, longestStreamMs) };
    // Some are asked for much more often than others.
    const name = `m${Math.floor(random() ** 2 * guests.length)}`;
    if (chance(0.005)) return { ...common, model: name, what: 'crash' };
    if (chance(0.005)) return { ...common, model: name, what: 'unload' };
    return { ...common, model: name, what: 'request', ...(chance(0.1) && { patienceMs: between(10, 20_000) }) };
  });
  const rules = { minStayMs: oneOf(0, 1_000, 6_000), turnMs: oneOf(0, 2_000, 10_000) };
  const endMs = 100 * BUSY_MS;
  return { sizesGib, models: chance(0.3) ? [host, ...guests] : guests, happenings, rules, endMs };
}

/** Two models of which only one fits, each asked for every 100 ms for a minute. */
export function rivals(streamMs: number, rules: Scenario['rules']): Scenario {
  const model = { gib: 20, onDemand: true, loadMs: 1_000, unloadMs: 200, ttlMs: 60_000 };
  const happenings = Array.from({ length: BUSY_MS / 100 }, (_, index): readonly Happening[] => [
    { atMs: index * 100, model: 'one', what: 'request', streamMs },
    { atMs: index * 100 + 50, model: 'other', what: 'request', streamMs },
  ]).flat();
  const models = [
    { ...model, name: 'one' },
    { ...model, name: 'other' },
  ];
  return { sizesGib: [24], models, happenings, rules, endMs: 100 * BUSY_MS };
}

/** Mulberry32: numbers from 0 to below 1, the same for the same seed. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
