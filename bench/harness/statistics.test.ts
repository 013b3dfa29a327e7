import { expect, test } from 'vitest';
import { summarize } from './statistics.ts';

test('the middle of an odd count, the mean of the two middle ones of an even count', () => {
  expect(summarize([5, 1, 3])).toEqual({ median: 3, min: 1, max: 5 });
  expect(summarize([4, 1, 2, 10])).toEqual({ median: 3, min: 1, max: 10 });
});

test('nothing measured is an error', () => {
  expect(() => summarize([])).toThrow('nothing to summarize');
});
