import { afterEach, expect, test, vi } from 'vitest';
import { EngineState, FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { fakeAdapter } from '../../../test/engines/fake-adapter.ts';
import { isRunning } from '../../../test/engines/processes.ts';
import { ONE_DEVICE, type SupervisedNode, superviseNode, untilState } from '../../../test/engines/supervised-node.ts';
import type { DeviceDemand } from '../engines/engine.ts';

// Each start is a cold process, and each look at the devices another.
vi.setConfig({ testTimeout: 120_000 });

const POLL_MS = 100;

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function node(gpus: number): SupervisedNode {
  const made = superviseNode(gpus, POLL_MS);
  closers.push(made.close);
  return made;
}

test('an engine whose device disappears says so, is ended, and goes to another device', async () => {
  const { begin, machine } = node(2);
  const one = begin('one', undefined, { limits: { restart: { firstDelayMs: 1, maxDelayMs: 1 } } });
  await untilState(one, EngineState.READY);
  const { processId, devices } = one.last();
  expect(devices).toEqual([0]);
  machine.change({ gpus: machine.state.gpus.slice(1) });
  await expect.poll(() => one.states.filter((state) => state === 'READY').length, { timeout: 60_000 }).toBe(2);
  expect(one.states).toEqual([
    ...['PLACED', 'STARTING', 'READY', 'UNHEALTHY', 'BACKOFF'],
    ...['PLACED', 'STARTING', 'READY'],
  ]);
  const lost = one.changes.filter(({ failure }) => failure?.cause === FailureCause.DEVICE_LOST);
  expect(lost.map(({ state }) => state)).toEqual([EngineState.UNHEALTHY, EngineState.BACKOFF]);
  expect(lost[0]?.failure?.hint).toMatch(/CUDA device 0 \(.*\) is gone/);
  const lines = one.engineLog.tail(100).map(({ text }) => text);
  expect(lines).toContainEqual(expect.stringMatching(/^\[mesh\] CUDA device 0 .* is gone/));
  expect(isRunning(processId)).toBe(false);
  expect(one.last()).toMatchObject({ restarts: 1, devices: [0] });
});

const ONLY_PLACES: readonly [string, number, Partial<DeviceDemand>][] = [
  ['the only one', 1, {}],
  ['the one that it names', 2, { indices: [1] }],
];

test.each(ONLY_PLACES)(
  'an engine that may run nowhere but on a lost device, %s, waits for it',
  async (_, count, wish) => {
    const { begin, machine } = node(count);
    const gpus = machine.state.gpus;
    const limits = { restart: { firstDelayMs: 1, maxDelayMs: 50 }, memoryBackMs: 100 };
    const one = begin('one', fakeAdapter({}, { demand: { ...ONE_DEVICE, ...wish } }), { limits });
    await untilState(one, EngineState.READY);
    machine.change({ gpus: gpus.slice(0, -1) });
    await expect.poll(() => one.last().failure?.hint, { timeout: 60_000 }).toMatch(/^'one': no room/);
    const { state, devices, failure } = one.last();
    expect({ state, devices }).toEqual({ state: EngineState.BACKOFF, devices: [] });
    expect(failure?.cause).toBe(FailureCause.DEVICE_LOST);
    expect(failure?.evidence).toContain(`device ${count - 1}: gone: the driver no longer lists it`);
    machine.change({ gpus });
    await untilState(one, EngineState.READY);
  },
);

test.each(ONLY_PLACES)('a device that comes back, %s, ends the wait for it at once', async (_, count, wish) => {
  const { begin, machine } = node(count);
  const gpus = machine.state.gpus;
  await expect.poll(() => machine.looks, { timeout: 60_000 }).toBeGreaterThan(1);
  machine.change({ gpus: gpus.slice(0, -1) });
  const before = machine.looks;
  // One may have begun before the machine was changed.
  await expect.poll(() => machine.looks, { timeout: 60_000 }).toBeGreaterThan(before + 3);
  const limits = { restart: { firstDelayMs: 600_000, maxDelayMs: 600_000 } };
  const one = begin('one', fakeAdapter({}, { demand: { ...ONE_DEVICE, ...wish } }), { limits });
  await untilState(one, EngineState.BACKOFF);
  expect(one.last().failure?.cause).toBe(FailureCause.DEVICE_LOST);
  machine.change({ gpus });
  await untilState(one, EngineState.READY);
});

test('a driver that can be read again ends the wait for it at once', async () => {
  const { begin, machine } = node(1);
  await expect.poll(() => machine.looks, { timeout: 60_000 }).toBeGreaterThan(1);
  machine.change({ fault: { code: 9, stdout: "NVIDIA-SMI has failed because it couldn't communicate." } });
  const one = begin('one', undefined, { limits: { restart: { firstDelayMs: 600_000, maxDelayMs: 600_000 } } });
  await untilState(one, EngineState.BACKOFF);
  expect(one.last().failure).toMatchObject({
    cause: FailureCause.DEVICE_BUSY,
    hint: expect.stringContaining('unreadable'),
  });
  machine.change({ fault: undefined });
  await untilState(one, EngineState.READY);
});

test('a driver that cannot be read ends no engine', async () => {
  const { begin, machine } = node(2);
  const one = begin('one');
  await untilState(one, EngineState.READY);
  machine.change({ fault: { code: 255, stderr: 'Unable to determine the device handle for GPU: Unknown Error' } });
  const before = machine.looks;
  // One may have begun before the machine was changed; it takes two in a row to be gone.
  await expect.poll(() => machine.looks, { timeout: 60_000 }).toBeGreaterThan(before + 4);
  machine.change({ fault: undefined });
  const failed = machine.looks;
  await expect.poll(() => machine.looks, { timeout: 60_000 }).toBeGreaterThan(failed + 2);
  expect(one.states).toEqual(['PLACED', 'STARTING', 'READY']);
});

test('a foreign process on the device of an engine is told in its log, and ends nothing', async () => {
  const { begin, machine } = node(1);
  const one = begin('one');
  await untilState(one, EngineState.READY);
  machine.change({ processes: [{ processId: 4_000_002, gpus: [0], usedMiB: 1_000 }] });
  const told = () => one.engineLog.tail(100).filter(({ text }) => text.includes('4000002'));
  await expect.poll(told, { timeout: 60_000 }).toHaveLength(1);
  expect(told()[0]?.text).toMatch(/^\[mesh\] process 4000002, which is not of this mesh, uses CUDA device 0/);
  expect(one.last().state).toBe(EngineState.READY);
});
