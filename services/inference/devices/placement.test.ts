import { describe, expect, test } from 'vitest';
import type { DeviceDemand } from '../engines/engine.ts';
import { freeBytes, type PlaceableDevice, place } from './placement.ts';

const GIB = 1024 ** 3;

interface Load {
  readonly foreignGiB?: number;
  readonly excluded?: string;
  readonly bookings?: PlaceableDevice['bookings'];
  readonly claims?: PlaceableDevice['claims'];
}

function device(index: number, totalGiB: number, load: Load = {}): PlaceableDevice {
  const foreignBytes = (load.foreignGiB ?? 0) * GIB;
  return {
    index,
    uuid: `GPU-${index}`,
    name: `${totalGiB} GB card`,
    totalBytes: totalGiB * GIB,
    usedBytes: foreignBytes,
    foreignBytes,
    foreignProcesses: foreignBytes > 0 ? [17] : [],
    bookings: load.bookings ?? [],
    claims: load.claims ?? [],
    excluded: load.excluded,
  };
}

const machine = (...sizes: number[]): PlaceableDevice[] => sizes.map((size, index) => device(index, size));

function demand(change: Partial<DeviceDemand> & { readonly share?: number; readonly gib?: number }): DeviceDemand {
  const { share, gib, ...rest } = change;
  const claim =
    share === undefined ? { kind: 'bytes' as const, bytes: (gib ?? 0) * GIB } : { kind: 'share' as const, share };
  return { count: 1, claim, neededBytes: (gib ?? 1) * GIB, shares: false, fallsBackToCpu: false, ...rest };
}

const booked = (engine: string, gib: number, shares = false) => ({ engine, bytes: gib * GIB, shares });

const claimed = (gib: number, shares = false) => {
  return { ownerProcessId: 7, ownerHasEnded: false, bytes: gib * GIB, shares };
};

const indices = (devices: readonly PlaceableDevice[], wish: DeviceDemand) =>
  place(devices, wish).chosen.map((one) => one.device.index);

const MIG = 'in MIG mode; slices are listed and never placed on';

describe('where an engine goes', () => {
  test.each<[string, PlaceableDevice[], DeviceDemand, number[]]>([
    ['one 24 GB card', machine(24), demand({ share: 0.9, gib: 16 }), [0]],
    ['one card too small', machine(24), demand({ share: 0.9, gib: 22 }), []],
    ['two alike: the first', machine(24, 24), demand({ gib: 10 }), [0]],
    ['the smallest that is enough', machine(80, 24, 48), demand({ gib: 20 }), [1]],
    ['and with a share the smallest whose share is enough', machine(80, 24, 48), demand({ share: 0.9, gib: 30 }), [2]],
    ['of unknown size: the most room', machine(24, 80, 48), demand({ gib: 0 }), [1]],
    [
      '8 × 80 GB, tensor parallel 4',
      machine(80, 80, 80, 80, 80, 80, 80, 80),
      demand({ count: 4, share: 0.9 }),
      [0, 1, 2, 3],
    ],
    ['a mixed machine: those alike', machine(24, 80, 24, 80), demand({ count: 2, gib: 20 }), [0, 2]],
    ['a mixed machine: those alike that are enough', machine(24, 80, 24, 80), demand({ count: 2, gib: 40 }), [1, 3]],
    ['a mixture where nothing else is left', machine(24, 48, 80), demand({ count: 3, gib: 20 }), [0, 1, 2]],
    ['not where others compute', [device(0, 24, { foreignGiB: 1 }), device(1, 24)], demand({ gib: 10 }), [1]],
    ['where others compute, if there is room', [device(0, 24, { foreignGiB: 1 })], demand({ gib: 10 }), [0]],
    ['a share counts what others take', [device(0, 24, { foreignGiB: 3 })], demand({ share: 0.9 }), []],
    ['never on MIG', [device(0, 80, { excluded: MIG }), device(1, 24)], demand({ gib: 10 }), [1]],
    [
      'by index, in the order of the entry',
      machine(24, 24, 24),
      demand({ count: 2, indices: [2, 0], gib: 10 }),
      [2, 0],
    ],
    [
      'by index and not elsewhere',
      [device(0, 24, { foreignGiB: 20 }), device(1, 24)],
      demand({ indices: [0], gib: 10 }),
      [],
    ],
    ['an index that is not there', machine(24), demand({ indices: [3], gib: 1 }), []],
    ['an index twice', machine(24, 24), demand({ count: 2, indices: [0, 0], gib: 1 }), []],
    ['an excluded one by index', [device(0, 80, { excluded: MIG })], demand({ indices: [0], gib: 1 }), []],
    ['alone by default', [device(0, 80, { bookings: [booked('a', 10, true)] })], demand({ gib: 10 }), []],
    [
      'beside one that shares',
      [device(0, 80, { bookings: [booked('a', 10, true)] })],
      demand({ gib: 10, shares: true }),
      [0],
    ],
    ['not beside an engine of another mesh', [device(0, 80, { claims: [claimed(10, true)] })], demand({ gib: 10 }), []],
    [
      'not beside one of another mesh that is alone',
      [device(0, 80, { claims: [claimed(10)] })],
      demand({ gib: 10, shares: true }),
      [],
    ],
    [
      'beside one of another mesh, both sharing',
      [device(0, 80, { claims: [claimed(10, true)] })],
      demand({ gib: 10, shares: true }),
      [0],
    ],
    [
      'not over what another mesh claims',
      [device(0, 80, { claims: [claimed(75, true)] })],
      demand({ gib: 10, shares: true }),
      [],
    ],
    [
      'not where memory is not back, even sharing',
      [device(0, 80, { bookings: [{ ...booked('a', 1, true), endedWhy: 'x' }] })],
      demand({ gib: 10, shares: true }),
      [],
    ],
    ['not beside one alone', [device(0, 80, { bookings: [booked('a', 10)] })], demand({ gib: 10, shares: true }), []],
    [
      'not over what is booked',
      [device(0, 80, { bookings: [booked('a', 75, true)] })],
      demand({ gib: 6, shares: true }),
      [],
    ],
    [
      'of unknown size: not shared',
      [device(0, 80, { bookings: [booked('a', 1, true)] })],
      demand({ gib: 0, shares: true }),
      [],
    ],
    [
      'the fuller of two that are shared',
      [device(0, 80), device(1, 80, { bookings: [booked('a', 40, true)] })],
      demand({ gib: 20, shares: true }),
      [1],
    ],
    ['more than there are', machine(24, 24), demand({ count: 3, gib: 1 }), []],
    ['no device', [], demand({ gib: 1 }), []],
  ])('%s', (_, devices, wish, expected) => {
    expect(indices(devices, wish)).toEqual(expected);
  });

  test('on the CPU only where the demand allows it', () => {
    expect(place(machine(24), demand({ gib: 30, fallsBackToCpu: true })).outcome).toBe('cpu');
    expect(place([], demand({ gib: 1, fallsBackToCpu: true })).outcome).toBe('cpu');
    expect(place(machine(24), demand({ gib: 30 })).outcome).toBe('refused');
    expect(place(machine(24), demand({ gib: 20, fallsBackToCpu: true })).outcome).toBe('devices');
  });
});

describe('the words', () => {
  test('every device has its reason', () => {
    const devices = [
      device(0, 80, { excluded: MIG }),
      device(1, 24, { foreignGiB: 20 }),
      device(2, 80, { bookings: [booked('chat', 72)] }),
      device(3, 48),
      device(4, 80),
    ];
    const { verdicts, why } = place(devices, demand({ share: 0.9, gib: 20 }));
    expect(verdicts.map((one) => [one.device.index, one.chosen, one.why])).toEqual([
      [3, true, 'the best fit: 43.2 GiB claimed of 48.0 GiB that are free'],
      [4, false, 'has room, but another fits better: 8.0 GiB would be left'],
      [0, false, MIG],
      [
        1,
        false,
        '21.6 GiB are claimed, and of 24.0 GiB only 4.0 GiB are free (processes not of this mesh use 20.0 GiB: 17)',
      ],
      [2, false, "booked by 'chat', and share_devices is not set"],
    ]);
    expect(why).toBe('on CUDA device 3');
  });

  test('a refusal says what was asked for, what is in the way and what to change', () => {
    const { why } = place([device(0, 24)], demand({ share: 0.5, gib: 15, indices: [0] }));
    expect(why).toBe(
      'no room for a CUDA device: 0: about 15.0 GiB are needed, and the engine would claim only 12.0 GiB of it. ' +
        'Change gpu_memory_utilization or max_model_len, or give it other or more devices (devices, tensor_parallel_size, share_devices).',
    );
    expect(place([], demand({})).why).toContain('there is none');
    expect(place(machine(24), demand({ indices: [3] })).why).toContain('3: not there');
    expect(place(machine(24, 24), demand({ count: 2, indices: [1, 1] })).why).toContain('an index is named twice');
  });
});

describe('whatever happens', () => {
  /** A small generator that repeats itself by its seed. */
  function random(seed: number): (below: number) => number {
    let state = seed;
    return (below) => {
      state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
      return Math.floor((state / 2 ** 32) * below);
    };
  }

  test.each(Array.from({ length: 200 }, (_, seed) => seed))('no device is booked over its memory (%i)', (seed) => {
    const below = random(seed);
    const sizes = [8, 24, 48, 80, 141];
    let devices = Array.from({ length: 1 + below(8) }, (_, index) =>
      device(index, sizes[below(sizes.length)] ?? 24, {
        foreignGiB: below(3) === 0 ? below(20) / 2 : 0,
        ...(below(8) === 0 && { excluded: MIG }),
      }),
    );
    for (let step = 0; step < 40; step += 1) {
      const count = 1 + below(4);
      const wish = demand({
        count,
        shares: below(2) === 0,
        fallsBackToCpu: below(4) === 0,
        ...(below(2) === 0 ? { share: (1 + below(10)) / 10 } : { gib: below(60) }),
        ...(below(3) === 0 && { indices: Array.from({ length: count }, () => below(9)) }),
      });
      const decision = place(devices, wish);
      expect(decision.verdicts).toHaveLength(devices.length);
      expect(decision.chosen).toHaveLength(decision.outcome === 'devices' ? count : 0);
      const claims = new Map(decision.chosen.map((one) => [one.device.index, one.claimBytes]));
      expect(claims.size).toBe(decision.chosen.length);
      devices = devices.map((one) => {
        const bytes = claims.get(one.index);
        const kept = below(4) === 0 ? [] : one.bookings;
        if (bytes === undefined) return { ...one, bookings: kept };
        expect(one.excluded).toBeUndefined();
        expect(bytes).toBeGreaterThanOrEqual(wish.neededBytes);
        const alone = one.bookings.length === 0;
        expect(alone || (wish.shares && one.bookings.every(({ shares }) => shares))).toBe(true);
        return { ...one, bookings: [...one.bookings, { engine: `e${step}`, bytes, shares: wish.shares }] };
      });
      for (const one of devices) {
        const sum = one.bookings.reduce((all, { bytes }) => all + bytes, 0);
        expect(sum === 0 || sum + one.foreignBytes <= one.totalBytes).toBe(true);
        expect(freeBytes(one)).toBeGreaterThanOrEqual(0);
      }
    }
  });
});

test('of many processes of others the first are named, and they are told where another device fits better', () => {
  const ids = Array.from({ length: 17 }, (_, index) => index + 1);
  const crowded = { ...device(0, 24, { foreignGiB: 20 }), foreignProcesses: ids };
  const why = (gib: number) => place([crowded, device(1, 24)], demand({ gib })).verdicts[1]?.why;
  expect(why(22)).toContain('(processes not of this mesh use 20.0 GiB: 1, 2, 3, 4, 5 and 12 more)');
  expect(why(2)).toContain('would be left, and processes not of this mesh are on it: 1, 2, 3, 4, 5 and 12 more');
});

test('a device that another mesh shares comes after one of our own', () => {
  const claim = { ownerProcessId: 9, ownerHasEnded: false, bytes: 10 * GIB, shares: true };
  const devices = [device(0, 80, { claims: [claim] }), device(1, 80)];
  expect(place(devices, demand({ gib: 20, shares: true })).chosen.map(({ device: one }) => one.index)).toEqual([1]);
});
