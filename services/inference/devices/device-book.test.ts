import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import pino from 'pino';
import { afterEach, expect, test, vi } from 'vitest';
import {
  createFakeMachine,
  type FakeMachine,
  type FakeMachineState,
  gpusOf,
} from '../../../test/engines/fake-nvidia-smi.ts';
import type { DeviceDemand } from '../engines/engine.ts';
import {
  type Booking,
  createDeviceBook,
  type DeviceBook,
  type DeviceBookOptions,
  type DeviceChange,
  type PlacementRefusal,
} from './device-book.ts';

// Each look starts processes of Node.js, which is slow where others compute as well.
vi.setConfig({ testTimeout: 120_000 });

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Setup {
  readonly machine: FakeMachine;
  readonly book: DeviceBook;
  /** The processes that are ours. */
  readonly own: Set<number>;
  readonly changes: DeviceChange[];
}

function setup(state: Partial<FakeMachineState>, options: Partial<DeviceBookOptions> = {}, visible?: string): Setup {
  const machine = createFakeMachine(state);
  const own = new Set<number>();
  const variables: Readonly<Record<string, string | undefined>> = { PATH: machine.path, CUDA_VISIBLE_DEVICES: visible };
  const book = createDeviceBook({
    devices: 'auto',
    environmentVariable: (name) => variables[name],
    ownProcesses: () => own,
    log: pino({ level: 'silent' }),
    ...options,
  });
  const changes: DeviceChange[] = [];
  book.onChange((change) => changes.push(change));
  closers.push(() => book.close().then(() => machine.remove()));
  return { machine, book, own, changes };
}

function demand(gib: number, change: Partial<DeviceDemand> = {}): DeviceDemand {
  const bytes = gib * GIB;
  return {
    count: 1,
    claim: { kind: 'bytes', bytes },
    neededBytes: bytes,
    shares: false,
    fallsBackToCpu: false,
    ...change,
  };
}

async function booked(book: DeviceBook, engine: string, wish: DeviceDemand): Promise<Booking> {
  const answer = await book.book(engine, wish);
  if ('refused' in answer) throw new Error(answer.why);
  return answer;
}

async function refused(book: DeviceBook, engine: string, wish: DeviceDemand): Promise<PlacementRefusal> {
  const answer = await book.book(engine, wish);
  if (!('refused' in answer)) throw new Error(`booked ${answer.devices}`);
  return answer;
}

/** Waits for the memory of a booking, which is not back yet: it is looked for a second time. */
async function waitedFor({ book, machine }: Setup, booking: Booking): Promise<{ readonly back: Promise<boolean> }> {
  const looks = machine.looks;
  const back = book.untilBack(booking, 60_000);
  await expect.poll(() => machine.looks, { timeout: 20_000 }).toBeGreaterThan(looks + 1);
  return { back };
}

const H100 = (count: number) => gpusOf('NVIDIA H100 80GB HBM3', 81_920, count);

test('two engines get a device each, and a third waits until one is released', async () => {
  const { book } = setup({ gpus: H100(2) });
  // Asked at the same time: the second must see the first's booking.
  const [one, two] = await Promise.all([booked(book, 'a', demand(40)), booked(book, 'b', demand(40))]);
  expect([one.devices, two.devices]).toEqual([[0], [1]]);
  expect(one.bytes).toEqual(new Map([[0, 40 * GIB]]));
  const third = await refused(book, 'c', demand(40));
  expect(third.why).toMatch(/^'c': no room for a CUDA device: 0: booked by 'a'.*1: booked by 'b'/);
  expect(third.candidates.map(({ chosen }) => chosen)).toEqual([false, false]);
  let releases = 0;
  const forget = book.onRelease(() => {
    releases += 1;
  });
  book.release(two);
  book.release(two);
  expect(releases).toBe(1);
  expect((await booked(book, 'c', demand(40))).devices).toEqual([1]);
  forget();
  book.release(one);
  expect(releases).toBe(1);
});

test('sharing engines together never claim more than what others leave', async () => {
  const { book, machine, own } = setup({
    gpus: H100(1),
    processes: [{ processId: 4_000_001, gpus: [0], usedMiB: 20_480 }],
  });
  const shares = { shares: true };
  await booked(book, 'a', demand(30, shares));
  // The first has loaded: what it uses is within its booking and is not counted twice.
  own.add(4_000_002);
  machine.change({ processes: [...machine.state.processes, { processId: 4_000_002, gpus: [0], usedMiB: 30_720 }] });
  await booked(book, 'b', demand(25, shares));
  expect((await refused(book, 'c', demand(10, shares))).why).toContain('only 4.9 GiB are free');
  const [device] = book.devices();
  expect(device).toMatchObject({ engines: ['a', 'b'], foreignProcesses: 1, memoryBookedBytes: BigInt(55 * GIB) });
  expect(Number(device?.memoryForeignBytes)).toBe(20_484 * MIB);
});

test('what programs take that the list of processes does not show, as graphics, is foreign', async () => {
  const { book, machine, own } = setup({ gpus: H100(1) });
  await booked(book, 'a', demand(30, { shares: true }));
  own.add(4_000_001);
  const gpus = machine.state.gpus.map((gpu) => ({ ...gpu, driverMiB: 20_480 }));
  machine.change({ gpus, processes: [{ processId: 4_000_001, gpus: [0], usedMiB: 1_024 }] });
  expect((await refused(book, 'b', demand(31, { shares: true }))).why).toContain('only 30.0 GiB are free');
});

test('in a container, where the driver tells of no process, what was used before counts as foreign', async () => {
  const processes = [{ processId: 4_000_001, gpus: [0], usedMiB: 20_480 }];
  const { book, machine } = setup({ gpus: H100(1), processes, processesTold: 'none' });
  const shares = { shares: true };
  await booked(book, 'a', demand(30, shares));
  machine.change({ processes: [...processes, { processId: 4_000_002, gpus: [0], usedMiB: 30_720 }] });
  expect((await refused(book, 'b', demand(30, shares))).why).toContain('only 29.9 GiB are free');
  await booked(book, 'b', demand(29, shares));
});

test('memory is waited for after an engine has ended', async () => {
  const running = { processId: 4_000_002, gpus: [0], usedMiB: 40_960 };
  const all = setup({ gpus: H100(1) });
  const { book, machine, own } = all;
  const booking = await booked(book, 'a', demand(40));
  own.add(running.processId);
  machine.change({ processes: [running] });
  expect(await book.untilBack(booking, 300)).toBe(false);
  const { back } = await waitedFor(all, booking);
  // 2 of 40 GiB are the 5 % that may stay.
  machine.change({ processes: [{ ...running, usedMiB: 2_000 }] });
  expect(await back).toBe(true);
  book.release(booking);
  expect(await book.untilBack(booking, 60_000)).toBe(true);
});

test('memory counts as back beside an engine that shares, and beside foreign processes that came since', async () => {
  const all = setup({ gpus: H100(1) });
  const { book, machine, own } = all;
  const one = await booked(book, 'a', demand(20, { shares: true }));
  const two = await booked(book, 'b', demand(30, { shares: true }));
  own.add(4_000_001).add(4_000_002);
  const [mine, others] = [
    { processId: 4_000_001, gpus: [0], usedMiB: 20_480 },
    { processId: 4_000_002, gpus: [0], usedMiB: 30_720 },
  ];
  const foreign = { processId: 4_000_003, gpus: [0], usedMiB: 10_240 };
  machine.change({ processes: [mine, others, foreign] });
  const { back } = await waitedFor(all, one);
  machine.change({ processes: [others, foreign] });
  expect(await back).toBe(true);
  book.release(one);
  book.release(two);
});

test('a device that falls off the bus is noticed, takes no engine, and moves no booking', async () => {
  const { book, machine, changes } = setup({ gpus: H100(3) }, { pollMs: 100 });
  book.start();
  const onSecond = await booked(book, 'a', demand(40, { indices: [1] }));
  const onThird = await booked(book, 'b', demand(40, { indices: [2] }));
  const [first, , third] = machine.state.gpus;
  if (!first || !third) throw new Error('no GPUs');
  machine.change({ gpus: [first, third] });
  await expect.poll(() => changes, { timeout: 20_000 }).toHaveLength(1);
  expect(changes[0]).toMatchObject({ kind: 'gone', engines: ['a'], what: expect.stringContaining('CUDA device 1') });
  // The driver now calls the third 1, and its booking is still on it.
  const devices = book.devices().map(({ index, engines, excluded }) => [index, engines, excluded]);
  expect(devices).toEqual([
    [0, [], ''],
    [1, ['b'], ''],
    [1, ['a'], 'gone: the driver no longer lists it'],
  ]);
  expect((await refused(book, 'c', demand(40, { indices: [1] }))).why).toContain("booked by 'b'");
  expect(await book.untilBack(onSecond, 60_000)).toBe(true);
  book.release(onSecond);
  book.release(onThird);
  machine.change({ gpus: H100(3) });
  await expect.poll(() => changes.at(-1)?.kind, { timeout: 20_000 }).toBe('appeared');
});

test('a foreign process is noticed once, ours is not', async () => {
  const { book, machine, changes, own } = setup({ gpus: H100(1) }, { pollMs: 100 });
  book.start();
  const booking = await booked(book, 'a', demand(40));
  own.add(4_000_001);
  const processes = [
    { processId: 4_000_001, gpus: [0], usedMiB: 1_000 },
    { processId: 4_000_002, gpus: [0], usedMiB: 1_000 },
  ];
  machine.change({ processes });
  await expect.poll(() => changes, { timeout: 20_000 }).not.toHaveLength(0);
  await book.refresh();
  await book.refresh();
  expect(changes).toMatchObject([{ kind: 'foreign-process', engines: ['a'] }]);
  expect(changes[0]?.what).toContain('process 4000002');
  book.release(booking);
});

test('a driver that fails is told, takes no engine, and loses no device', async () => {
  const all = setup({ gpus: H100(1) });
  const { book, machine, changes } = all;
  const booking = await booked(book, 'a', demand(40));
  const stderr = 'Unable to determine the device handle for GPU0000:01:00.0: Unknown Error\n';
  machine.change({ fault: { code: 255, stderr } });
  expect((await refused(book, 'b', demand(1))).why).toContain('0000:01:00.0: Unknown Error');
  expect(book.problem).toContain('0000:01:00.0');
  const { back } = await waitedFor(all, booking);
  expect(book.devices()).toMatchObject([{ index: 0, engines: ['a'], excluded: expect.stringContaining('unreadable') }]);
  machine.change({ fault: undefined });
  expect(await back).toBe(true);
  expect(book.problem).toBeUndefined();
  expect(changes.map(({ kind }) => kind)).toEqual(['unreadable', 'readable']);
});

test('a driver that fails from the start is told with a refusal', async () => {
  const { book } = setup({ fault: { code: 9, stdout: "NVIDIA-SMI has failed because it couldn't communicate.\n" } });
  expect((await refused(book, 'a', demand(1))).why).toContain("couldn't communicate");
  expect(book.devices()).toMatchObject([{ uuid: '' }]);
});

test('without nvidia-smi there is the CPU alone', async () => {
  const { book } = setup({}, { environmentVariable: () => '/no/such/place' });
  expect((await refused(book, 'a', demand(1))).why).toContain('there is none');
  const booking = await booked(book, 'a', demand(1, { fallsBackToCpu: true }));
  expect(booking.devices).toEqual([]);
  const [cpu, ...rest] = book.devices();
  expect(cpu?.index).toBeUndefined();
  expect(cpu).toMatchObject({ uuid: '', engines: ['a'] });
  expect(cpu?.memoryTotalBytes).toBeGreaterThan(0n);
  expect(rest).toEqual([]);
});

test('none and a list in the configuration, and what a batch system set', async () => {
  const none = setup({ gpus: H100(1) }, { devices: 'none' });
  await refused(none.book, 'a', demand(1));
  expect(none.machine.looks).toBe(0);
  const listed = setup({ gpus: H100(3) }, { devices: [2] }, '0');
  expect((await booked(listed.book, 'a', demand(1))).devices).toEqual([2]);
  const byIndex = setup({ gpus: H100(3) }, {}, '1,-1,2');
  expect((await booked(byIndex.book, 'a', demand(1))).devices).toEqual([1]);
  expect((await refused(byIndex.book, 'b', demand(1))).why).toContain('2: not in the CUDA_VISIBLE_DEVICES');
  const byUuid = setup({ gpus: H100(3) }, {}, 'GPU-00000002');
  expect((await booked(byUuid.book, 'a', demand(1))).devices).toEqual([2]);
  const hidden = setup({ gpus: H100(1) }, {}, '');
  await refused(hidden.book, 'a', demand(1));
});

test('MIG slices are listed and never placed on', async () => {
  const [gpu] = H100(1);
  if (!gpu) throw new Error('no GPU');
  const slices = [{ profile: '1g.10gb', uuid: 'MIG-aaaa' }];
  const { book } = setup({ gpus: [{ ...gpu, mig: 'Enabled', slices }] });
  const { candidates } = await refused(book, 'a', demand(1));
  expect(candidates.map(({ device, why }) => [device.uuid, device.mig, why])).toEqual([
    [gpu.uuid, false, 'in MIG mode; slices are listed and never placed on'],
    ['MIG-aaaa', true, 'a MIG slice; slices are listed and never placed on'],
  ]);
});

test('a dry run books nothing, and tells an engine with a place its own', async () => {
  const { book } = setup({ gpus: H100(2) });
  await book.refresh();
  const wish = demand(40, { fallsBackToCpu: true });
  expect(book.explain(wish).candidates.map(({ chosen, why }) => [chosen, why])).toEqual([
    [true, 'the best fit: 40.0 GiB claimed of 79.9 GiB that are free'],
    [false, 'has room, but another fits better: 39.9 GiB would be left'],
    [false, 'a CUDA device has room'],
  ]);
  const booking = await booked(book, 'a', { ...wish, indices: [1] });
  expect(book.explain(wish, 'a').candidates.map(({ chosen, why }) => [chosen, why])).toEqual([
    [true, 'it has its place here: 40.0 GiB booked'],
    [false, 'it has its place on CUDA device 1'],
    [false, 'a CUDA device has room'],
  ]);
  book.release(booking);
});

test('an engine process that ends gives its memory back, as the driver sees it', async () => {
  const all = setup({ gpus: H100(2) });
  const { book, machine, own } = all;
  const booking = await booked(book, 'a', demand(30, { indices: [1] }));
  const program = `import { claimGpuMemory } from ${JSON.stringify(import.meta.resolve('../../../test/engines/fake-nvidia-smi.ts'))};
    claimGpuMemory(30_000); console.log('loaded'); setInterval(() => {}, 1_000);`;
  const engine: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', program], {
    env: { FAKE_MACHINE: machine.directory, CUDA_VISIBLE_DEVICES: booking.devices.join(',') },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  own.add(engine.pid ?? 0);
  await once(engine.stdout as NonNullable<typeof engine.stdout>, 'data');
  await book.refresh();
  expect(book.devices().map(({ memoryUsedBytes }) => Number(memoryUsedBytes) / MIB)).toEqual([4, 30_004]);
  const { back } = await waitedFor(all, booking);
  engine.kill('SIGKILL');
  expect(await back).toBe(true);
  book.release(booking);
});
