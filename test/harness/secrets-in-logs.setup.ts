import { afterAll, expect } from 'vitest';
import { takeSightings } from './secrets-in-logs.ts';

// Of every file of tests: nothing that is secret stands in what its meshes have written (registered first, so run last).
afterAll(() => {
  expect(takeSightings()).toEqual([]);
});
