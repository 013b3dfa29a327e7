import { expect, test } from 'vitest';
import { SweepPatience } from './sweeper.ts';

/** Sweeps every second, from one moment up to but without another. */
function sweep(patience: SweepPatience, fromMs: number, untilMs: number): number[] {
  const spared: number[] = [];
  for (let nowMs = fromMs; nowMs < untilMs; nowMs += 1_000) {
    spared.push(patience.spareMs(nowMs));
    patience.swept(nowMs);
  }
  return spared;
}

test('at a start owners get six seconds to report, whenever their leases ran out', () => {
  const patience = new SweepPatience(1_000);
  expect(new Set(sweep(patience, 1_000, 7_000))).toEqual(new Set([Number.POSITIVE_INFINITY]));
  expect(sweep(patience, 7_000, 9_000)).toEqual([0, 0]);
});

test('after a gap what ran out since the last sweep is spared for six seconds, and what ran out before is not', () => {
  const patience = new SweepPatience(0);
  sweep(patience, 0, 21_000);
  expect(patience.spareMs(23_000)).toBe(0);
  // Sweeps that fail are no sweeps.
  expect(patience.spareMs(24_000)).toBe(4_000);
  expect(sweep(patience, 30_000, 38_000)).toEqual([10_000, 11_000, 12_000, 13_000, 14_000, 15_000, 0, 0]);
});
