import { expect, test } from 'vitest';
import type { DeviceDemand } from '../engines/engine.ts';
import { measuredDemand } from './measured-demand.ts';
import { place } from './placement.ts';

const device = {
  index: 0,
  uuid: 'GPU-0',
  name: 'GPU',
  totalBytes: 1_000,
  usedBytes: 0,
  foreignBytes: 0,
  foreignProcesses: [],
  bookings: [],
  claims: [],
};

function claimed(claim: DeviceDemand['claim'], measuredBytes: number | undefined, growsWithUse = false) {
  const demand = { count: 1, claim, neededBytes: 0, growsWithUse, shares: false, fallsBackToCpu: false };
  return place([device], measuredDemand(demand, measuredBytes)).chosen[0]?.claimBytes;
}

test.each([
  ['what was never measured stays as it was estimated', { kind: 'bytes', bytes: 300 }, undefined, 300],
  ['what was measured replaces the estimate, with some room', { kind: 'bytes', bytes: 300 }, 400, 420],
  ['a size that was unknown takes no whole device any more', { kind: 'bytes', bytes: 0 }, 400, 420],
  ['a share is claimed whatever was measured', { kind: 'share', share: 0.5 }, 400, 500],
  ['a share that was overrun is booked as it was seen', { kind: 'share', share: 0.5 }, 600, 600],
  ['never more than there is', { kind: 'share', share: 0.9 }, 1_200, 1_000],
] as const)('%s', (_name, claim, measuredBytes, expected) => {
  expect(claimed(claim, measuredBytes)).toBe(expected);
});

test.each([
  [300, 100, 300],
  [300, 400, 420],
  [0, 100, 1_000],
])(
  'one that grows with use and was estimated to %s is never booked below that, measured %s',
  (bytes, measured, expected) => {
    expect(claimed({ kind: 'bytes', bytes }, measured, true)).toBe(expected);
  },
);
