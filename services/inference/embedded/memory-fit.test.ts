import { expect, test } from 'vitest';
import { planMemory } from './memory-fit.ts';

const GIB = 1024 ** 3;
const shape = { modelBytes: 4 * GIB, layers: 32, trainedContextTokens: 131_072, cacheBytesPerToken: 128 * 1024 };
const wish = { contextTokens: undefined, sequences: 8 };

test('a model that fits a large GPU goes there whole, with the default context', () => {
  const plan = planMemory(shape, wish, { gpuFreeBytes: 80 * GIB, mainBytes: 64 * GIB });
  expect(plan).toEqual({ contextTokens: 8192, gpuLayers: 33 });
});

test('the context shrinks before the cache takes more than half of what is left', () => {
  const plan = planMemory(shape, wish, { gpuFreeBytes: 0, mainBytes: 16 * GIB });
  expect(plan).toEqual({ contextTokens: 4096, gpuLayers: 0 });
});

test('a GPU that is too small takes a part of the layers', () => {
  const { gpuLayers } = planMemory(shape, wish, { gpuFreeBytes: 3 * GIB, mainBytes: 64 * GIB });
  expect(gpuLayers).toBeGreaterThan(0);
  expect(gpuLayers).toBeLessThan(33);
});

test('an explicit context is taken as it is', () => {
  const plan = planMemory(shape, { ...wish, contextTokens: 20_000 }, { gpuFreeBytes: 0, mainBytes: 8 * GIB });
  expect(plan.contextTokens).toBe(20_000);
});

test('a model is not stretched beyond what it was trained for', () => {
  const plan = planMemory({ ...shape, trainedContextTokens: 4096 }, wish, { gpuFreeBytes: 0, mainBytes: 64 * GIB });
  expect(plan.contextTokens).toBe(4096);
});
