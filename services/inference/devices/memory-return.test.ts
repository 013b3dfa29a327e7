import { expect, test } from 'vitest';
import { type DriverReading, NO_DEVICES } from './gpu-reading.ts';
import { type BookedUse, type DeviceAfterEnd, type MemoryRest, memoryRest, toldUse } from './memory-return.ts';

const GIB = 1024 ** 3;

/** A start that booked so much and of which the driver tells so much. `silent`: named without its memory. Unset: not named. */
function use(bookedGiB: number, told?: number | 'silent'): BookedUse {
  const bytes = typeof told === 'number' ? told * GIB : undefined;
  return { bookedBytes: bookedGiB * GIB, isListed: told !== undefined, bytes };
}

function after(heldGiB: number, change: Partial<DeviceAfterEnd> = {}): DeviceAfterEnd {
  const ended = use(30);
  return { heldBytes: heldGiB * GIB, heldBeforeBytes: 0, ended, neighbours: [], driverTells: true, ...change };
}

const rest = (whose: MemoryRest['whose'], gib: number): MemoryRest => ({ whose, bytes: gib * GIB });

test.each<[string, DeviceAfterEnd, MemoryRest | undefined]>([
  ['all is back', after(0), undefined],
  ['5 % may stay', after(1.5), undefined],
  ['more may not', after(1.6), rest('unknown', 1.6)],
  ['as much as before it was booked', after(10, { heldBeforeBytes: 10 * GIB }), undefined],
  ['the driver still names it', after(20, { ended: use(30, 20) }), rest('ours', 20)],
  ['named, with little', after(1, { ended: use(30, 1) }), undefined],
  ['named, without its memory', after(0, { ended: use(30, 'silent') }), rest('ours', 30)],
  ['a neighbour uses less than it has booked', after(40, { neighbours: [use(40, 10)] }), rest('unknown', 30)],
  ['a neighbour uses all that it has booked', after(40, { neighbours: [use(40, 40)] }), undefined],
  ['a neighbour uses more than it has booked', after(45, { neighbours: [use(40, 45)] }), undefined],
  ['a neighbour only starts', after(30, { neighbours: [use(40)] }), rest('unknown', 30)],
  ['two neighbours', after(35, { neighbours: [use(40, 10), use(20, 5)] }), rest('unknown', 20)],
  ['a driver that tells nothing', after(30, { driverTells: false }), rest('unknown', 30)],
  ['nothing, and a neighbour', after(30, { driverTells: false, neighbours: [use(40)] }), undefined],
  ['a neighbour named without its memory', after(45, { neighbours: [use(40, 'silent')] }), rest('unknown', 5)],
])('%s', (_, device, expected) => {
  expect(memoryRest(device)).toEqual(expected);
});

test('what the driver tells of one start on one device', () => {
  const process = (processId: number, uuid: string, usedBytes?: number) => ({ processId, uuid, usedBytes });
  const processes = [
    process(1, 'a', 10),
    process(2, 'a', 20),
    process(2, 'b', 40),
    process(3, 'a'),
    process(4, 'a', 80),
  ];
  const reading: DriverReading = { ...NO_DEVICES, processes };
  const own = new Map([
    [1, 'one'],
    [2, 'one'],
    [3, 'silent'],
    [5, 'none'],
  ]);
  const told = (mark: string, uuid: string) => toldUse(mark, uuid, reading, own);
  expect(told('one', 'a')).toEqual({ isListed: true, bytes: 30 });
  expect(told('one', 'b')).toEqual({ isListed: true, bytes: 40 });
  expect(told('silent', 'a')).toEqual({ isListed: true, bytes: undefined });
  expect(told('none', 'a')).toEqual({ isListed: false, bytes: undefined });
});
