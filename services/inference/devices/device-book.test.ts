import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
import { openVramLedger } from './vram-ledger.ts';

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
  readonly own: Map<number, string>;
  readonly changes: DeviceChange[];
}

function setup(state: Partial<FakeMachineState>, options: Partial<DeviceBookOptions> = {}, visible?: string): Setup {
  const machine = createFakeMachine(state);
  const own = new Map<number, string>();
  const variables: Readonly<Record<string, string | undefined>> = {
    PATH: machine.path,
    CUDA_VISIBLE_DEVICES: visible,
    MESH_DEVICE_CLAIMS_DIR: machine.claimsDirectory,
  };
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

const nothingLeft = async (): Promise<undefined> => undefined;

/** Gives a booking back whose memory is not back yet: it is looked for a second time. */
async function givenBack(
  { book, machine }: Setup,
  booking: Booking,
): Promise<{ readonly free: Promise<string | undefined> }> {
  const looks = machine.looks;
  const free = book.giveBack(booking, 60_000, nothingLeft);
  await expect.poll(() => machine.looks).toBeGreaterThan(looks + 1);
  return { free };
}

const H100 = (count: number) => gpusOf('NVIDIA H100 80GB HBM3', 81_920, count);

test('two engines get a device each, and a third waits until one is released', async () => {
  const { book, machine } = setup({ gpus: H100(2) });
  // Asked at the same time: the second must see the first's booking.
  const [one, two] = await Promise.all([booked(book, 'a', demand(40)), booked(book, 'b', demand(40))]);
  expect([one.devices, two.devices]).toEqual([[0], [1]]);
  expect(one.bytes).toEqual(new Map([[machine.state.gpus[0]?.uuid, 40 * GIB]]));
  expect([one.mark, two.mark].map((mark) => mark.length)).toEqual([32, 32]);
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
  const { mark } = await booked(book, 'a', demand(30, shares));
  // The first has loaded: what it uses is within its booking and is not counted twice.
  own.set(4_000_002, mark);
  machine.change({ processes: [...machine.state.processes, { processId: 4_000_002, gpus: [0], usedMiB: 30_720 }] });
  await booked(book, 'b', demand(25, shares));
  expect((await refused(book, 'c', demand(10, shares))).why).toContain('only 4.9 GiB are free');
  const [device] = book.devices();
  expect(device).toMatchObject({ engines: ['a', 'b'], foreignProcesses: 1, memoryBookedBytes: BigInt(55 * GIB) });
  expect(Number(device?.memoryForeignBytes)).toBe(20_484 * MIB);
});

test('what programs take that the list of processes does not show, as graphics, is foreign', async () => {
  const { book, machine, own } = setup({ gpus: H100(1) });
  const { mark } = await booked(book, 'a', demand(30, { shares: true }));
  own.set(4_000_001, mark);
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

test('the device of an ended engine is free when its memory is back', async () => {
  const running = { processId: 4_000_002, gpus: [0], usedMiB: 40_960 };
  const all = setup({ gpus: H100(1) });
  const { book, machine, own } = all;
  const booking = await booked(book, 'a', demand(40));
  own.set(running.processId, booking.mark);
  machine.change({ processes: [running] });
  await book.refresh();
  const { free } = await givenBack(all, booking);
  // 2 of 40 GiB are the 5 % that may stay.
  machine.change({ processes: [{ ...running, usedMiB: 2_000 }] });
  expect(await free).toBeUndefined();
  expect(await book.giveBack(booking, 60_000, nothingLeft)).toBeUndefined();
  await booked(book, 'b', demand(40));
});

test('after the limit the device stays booked, says why, and is freed by the book itself', async () => {
  const running = { processId: 4_000_002, gpus: [0], usedMiB: 30_720 };
  const { book, machine, own } = setup({ gpus: H100(1) }, { pollMs: 100 });
  const booking = await booked(book, 'a', demand(40, { shares: true }));
  own.set(running.processId, booking.mark);
  machine.change({ processes: [running] });
  let releases = 0;
  book.onRelease(() => {
    releases += 1;
  });
  expect(await book.giveBack(booking, 100, nothingLeft)).toMatch(/not back/);
  const inTheWay = "held by 'a', which has ended: 30.0 GiB of its memory are not back";
  // Not even one that shares, and not the same engine again.
  const again = await refused(book, 'a', demand(10, { shares: true }));
  expect(again.why).toContain(inTheWay);
  expect(book.explain(demand(1), 'a').candidates[0]?.why).toBe(inTheWay);
  expect(book.devices()[0]).toMatchObject({ engines: ['a'], memoryBookedBytes: BigInt(40 * GIB), foreignProcesses: 0 });
  expect([releases, book.marks]).toEqual([0, [booking.mark]]);
  book.start();
  machine.change({ processes: [] });
  await expect.poll(() => releases, { timeout: 60_000 }).toBe(1);
  expect(book.marks).toEqual([]);
  await booked(book, 'b', demand(40));
});

test('what a run was measured to take is booked the next time', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mesh-ledger-'));
  const vramLedger = openVramLedger({ dataDir, now: () => 0, log: pino({ level: 'silent' }) });
  const { book, machine, own } = setup({ gpus: H100(1) }, { vramLedger });
  const wish = demand(40, { run: { engine: 'x', model: 'm', flags: {} } });
  const first = await booked(book, 'a', wish);
  own.set(4_000_001, first.mark);
  // While it loads, what it has taken is not what it needs.
  machine.change({ processes: [{ processId: 4_000_001, gpus: [0], usedMiB: 2_048 }] });
  await book.refresh();
  expect(existsSync(join(dataDir, 'vram-ledger.json'))).toBe(false);
  machine.change({ processes: [{ processId: 4_000_001, gpus: [0], usedMiB: 20_480 }] });
  await book.loaded(first);
  machine.change({ processes: [] });
  expect(await book.giveBack(first, 60_000, nothingLeft)).toBeUndefined();
  const second = await booked(book, 'a', wish);
  expect([...second.bytes.values()]).toEqual([20 * GIB * 1.05]);
  expect(book.explain(demand(40)).fits).toBe(false);
  rmSync(dataDir, { recursive: true });
});

test('a device is not free while processes are left that cannot be ended, whatever the driver says', async () => {
  const { book } = setup({ gpus: H100(1) });
  const booking = await booked(book, 'a', demand(40));
  let left: string | undefined = 'processes 7 of it cannot be ended';
  expect(await book.giveBack(booking, 300, async () => left)).toMatch(/not back yet|cannot be ended/);
  const { why } = await refused(book, 'b', demand(40));
  expect(why).toContain("held by 'a', which has ended: processes 7 of it cannot be ended");
  left = undefined;
  await booked(book, 'b', demand(40));
});

test('what an earlier run has left blocks its devices until it is gone', async () => {
  const { book, machine } = setup({ gpus: H100(2) });
  const bytes = new Map([[machine.state.gpus[1]?.uuid ?? '', 30 * GIB]]);
  let left: string | undefined = 'processes 7 of it cannot be ended';
  await book.block({ engine: 'old', mark: '0'.repeat(32), bytes, findLeft: async () => left });
  expect(book.devices()[1]).toMatchObject({ engines: ['old'], memoryBookedBytes: BigInt(30 * GIB) });
  const { why } = await refused(book, 'a', demand(1, { indices: [1], shares: true }));
  expect(why).toContain("held by 'old', which has ended: processes 7 of it cannot be ended");
  left = undefined;
  await booked(book, 'a', demand(1, { indices: [1] }));
});

test('memory that nobody is named for and that stays as it is belongs to others at last', async () => {
  const { book, machine, own } = setup({ gpus: H100(1) }, { steadyMs: 500 });
  const booking = await booked(book, 'a', demand(10));
  own.set(4_000_001, booking.mark);
  machine.change({ processes: [{ processId: 4_000_001, gpus: [0], usedMiB: 10_240 }] });
  await book.refresh();
  const [gpu] = machine.state.gpus;
  if (!gpu) throw new Error('no GPU');
  machine.change({ processes: [], gpus: [{ ...gpu, driverMiB: 20_480 }] });
  expect(await book.giveBack(booking, 60_000, nothingLeft)).toBeUndefined();
  expect((await refused(book, 'b', demand(61))).why).toContain('others use 20.0 GiB');
  await booked(book, 'b', demand(59));
});

test('memory counts as back beside an engine that shares, and beside foreign processes that came since', async () => {
  const all = setup({ gpus: H100(1) });
  const { book, machine, own } = all;
  const one = await booked(book, 'a', demand(20, { shares: true }));
  const two = await booked(book, 'b', demand(30, { shares: true }));
  own.set(4_000_001, one.mark).set(4_000_002, two.mark);
  const [mine, others] = [
    { processId: 4_000_001, gpus: [0], usedMiB: 20_480 },
    { processId: 4_000_002, gpus: [0], usedMiB: 30_720 },
  ];
  const foreign = { processId: 4_000_003, gpus: [0], usedMiB: 10_240 };
  machine.change({ processes: [mine, others, foreign] });
  const { free } = await givenBack(all, one);
  machine.change({ processes: [others, foreign] });
  expect(await free).toBeUndefined();
  book.release(two);
});

test('what a neighbour has booked and does not use hides nothing', async () => {
  const all = setup({ gpus: H100(1) });
  const { book, machine, own } = all;
  const one = await booked(book, 'a', demand(30, { shares: true }));
  const two = await booked(book, 'b', demand(40, { shares: true }));
  own.set(4_000_001, one.mark).set(4_000_002, two.mark);
  const neighbour = { processId: 4_000_002, gpus: [0], usedMiB: 10_240 };
  machine.change({ processes: [{ processId: 4_000_001, gpus: [0], usedMiB: 30_720 }, neighbour] });
  await book.refresh();
  const [gpu] = machine.state.gpus;
  if (!gpu) throw new Error('no GPU');
  // Its process is gone from the list, its memory from the sum not yet.
  machine.change({ processes: [neighbour], gpus: [{ ...gpu, driverMiB: 30_724 }] });
  const { free } = await givenBack(all, one);
  machine.change({ gpus: H100(1) });
  expect(await free).toBeUndefined();
});

test('a device that falls off the bus is noticed, takes no engine, and moves no booking', async () => {
  const { book, machine, changes } = setup({ gpus: H100(3) }, { pollMs: 100 });
  book.start();
  const onSecond = await booked(book, 'a', demand(40, { indices: [1] }));
  const onThird = await booked(book, 'b', demand(40, { indices: [2] }));
  const [first, , third] = machine.state.gpus;
  if (!first || !third) throw new Error('no GPUs');
  machine.change({ gpus: [first, third] });
  await expect.poll(() => changes).toHaveLength(1);
  expect(changes[0]).toMatchObject({ kind: 'gone', engines: ['a'], what: expect.stringContaining('CUDA device 1') });
  // The driver now calls the third 1, and its booking is still on it.
  const devices = book.devices().map(({ index, engines, excluded }) => [index, engines, excluded]);
  expect(devices).toEqual([
    [0, [], ''],
    [1, ['b'], ''],
    [1, ['a'], 'gone: the driver no longer lists it'],
  ]);
  expect(book.devices().map(({ lost }) => lost)).toEqual([false, false, true]);
  expect((await refused(book, 'c', demand(40, { indices: [1] }))).why).toContain("booked by 'b'");
  expect(await book.giveBack(onSecond, 60_000, nothingLeft)).toBeUndefined();
  book.release(onThird);
  machine.change({ gpus: H100(3) });
  await expect.poll(() => changes.at(-1)?.kind).toBe('appeared');
});

test('a foreign process is noticed once, ours is not', async () => {
  const { book, machine, changes, own } = setup({ gpus: H100(1) }, { pollMs: 100 });
  book.start();
  const booking = await booked(book, 'a', demand(40));
  own.set(4_000_001, booking.mark);
  const processes = [
    { processId: 4_000_001, gpus: [0], usedMiB: 1_000 },
    { processId: 4_000_002, gpus: [0], usedMiB: 1_000 },
  ];
  machine.change({ processes });
  await expect.poll(() => changes).not.toHaveLength(0);
  await book.refresh();
  await book.refresh();
  expect(changes).toMatchObject([{ kind: 'foreign-process', engines: ['a'] }]);
  expect(changes[0]?.what).toContain('process 4000002');
  const foreign = { processId: 4_000_002, memoryBytes: BigInt(1_000 * MIB) };
  expect(book.devices()[0]).toMatchObject({ foreignProcesses: 1, foreignProcessList: [foreign] });
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
  const { free } = await givenBack(all, booking);
  const unreadable = { index: 0, engines: ['a'], excluded: expect.stringContaining('unreadable'), lost: false };
  expect(book.devices()).toMatchObject([unreadable]);
  machine.change({ fault: undefined });
  expect(await free).toBeUndefined();
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
  own.set(engine.pid ?? 0, booking.mark);
  await once(engine.stdout as NonNullable<typeof engine.stdout>, 'data');
  await book.refresh();
  expect(book.devices().map(({ memoryUsedBytes }) => Number(memoryUsedBytes) / MIB)).toEqual([4, 30_004]);
  const { free } = await givenBack(all, booking);
  engine.kill('SIGKILL');
  expect(await free).toBeUndefined();
});

test('what sleeps gets back what it had of each device, alike or not', async () => {
  const [big] = gpusOf('NVIDIA H100 80GB HBM3', 81_920, 1);
  const [small] = gpusOf('NVIDIA L4', 24_576, 1, 1);
  if (!big || !small) throw new Error('no GPU');
  const { book, machine, own } = setup({ gpus: [big, small] });
  const claim = { kind: 'share', share: 0.9 } as const;
  const booking = await booked(book, 'a', { ...demand(20), count: 2, claim });
  own.set(4_000_001, booking.mark);
  machine.change({ processes: [{ processId: 4_000_001, gpus: [0, 1], usedMiB: 1_024 }] });
  await book.rest(booking);
  const guest = await booked(book, 'b', demand(40));
  expect(await book.restore(booking)).toMatch(/booked by 'b'/);
  book.release(guest);
  expect(await book.restore(booking)).toBeUndefined();
  expect((await refused(book, 'c', demand(1))).why).toContain("booked by 'a'");
});
