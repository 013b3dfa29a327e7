import { expect, test } from 'vitest';
import type { DeviceDemand } from '../engines/engine.ts';
import type { PlaceableDevice } from './placement.ts';
import { wouldFit } from './would-fit.ts';

function device(index: number, bookings: PlaceableDevice['bookings'] = [], foreignBytes = 0): PlaceableDevice {
  const booked = bookings.reduce((sum, { bytes }) => sum + bytes, foreignBytes);
  const uuid = `GPU-${index}`;
  return {
    index,
    uuid,
    name: 'GPU',
    totalBytes: 100,
    usedBytes: booked,
    foreignBytes,
    foreignProcesses: [],
    bookings,
    claims: [],
  };
}

function demand(bytes: number, rest: Partial<DeviceDemand> = {}): DeviceDemand {
  const claim = { kind: 'bytes', bytes } as const;
  return { count: 1, claim, neededBytes: bytes, shares: true, fallsBackToCpu: false, ...rest };
}

const comes = (...demands: DeviceDemand[]) => demands.map((come) => ({ engine: 'new', come, leave: [] as string[] }));
const booking = (engine: string, bytes: number, shares = true) => ({ engine, bytes, shares });

test('what leaves makes room, with the memory that it still uses', () => {
  const devices = [device(0, [booking('a', 60), booking('b', 30)])];
  expect(wouldFit(devices, comes(demand(50)))).toBe(false);
  expect(wouldFit(devices, [{ engine: 'new', come: demand(50), leave: ['b'] }])).toBe(false);
  expect(wouldFit(devices, [{ engine: 'new', come: demand(50), leave: ['a'] }])).toBe(true);
});

test('a later step sees who left and who came before', () => {
  const devices = [device(0, [booking('a', 60), booking('b', 40)])];
  const steps = [
    { engine: 'c', come: demand(60), leave: ['a'] },
    { engine: 'd', come: demand(40), leave: ['b'] },
  ];
  expect(wouldFit(devices, steps)).toBe(true);
  expect(wouldFit(devices, [...steps, ...comes(demand(1))])).toBe(false);
  expect(wouldFit(devices, [...steps, { engine: 'e', come: demand(60), leave: ['c'] }])).toBe(true);
  expect(wouldFit(devices, [{ engine: 'new', come: undefined, leave: ['a'] }, ...comes(demand(60))])).toBe(true);
});

test('foreign memory does not leave', () => {
  const devices = [device(0, [booking('a', 40)], 50)];
  expect(wouldFit(devices, [{ engine: 'new', come: demand(60), leave: ['a'] }])).toBe(false);
  expect(wouldFit(devices, [{ engine: 'new', come: demand(50), leave: ['a'] }])).toBe(true);
});

test('those who come find the place after each other', () => {
  const devices = [device(0), device(1)];
  expect(wouldFit(devices, comes(demand(70), demand(70)))).toBe(true);
  expect(wouldFit(devices, comes(demand(70), demand(70), demand(40)))).toBe(false);
  expect(wouldFit(devices, comes(demand(70), demand(30, { shares: false }), demand(30)))).toBe(true);
});

test('the CPU is a place only for what no device could ever take', () => {
  const full = [device(0, [booking('a', 90)])];
  expect(wouldFit(full, comes(demand(50, { fallsBackToCpu: true })))).toBe(false);
  expect(wouldFit(full, comes(demand(500, { fallsBackToCpu: true })))).toBe(true);
  expect(wouldFit([], comes(demand(50, { fallsBackToCpu: true })))).toBe(true);
  expect(wouldFit([], comes(demand(50)))).toBe(false);
});
