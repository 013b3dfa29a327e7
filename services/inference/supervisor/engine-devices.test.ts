import { afterEach, expect, test, vi } from 'vitest';
import { EngineState, FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { fakeAdapter } from '../../../test/engines/fake-adapter.ts';
import { isRunning } from '../../../test/engines/processes.ts';
import { ONE_DEVICE, type SupervisedNode, superviseNode, untilState } from '../../../test/engines/supervised-node.ts';
import type { EngineAdapter, EnginePlace } from '../engines/engine.ts';

// Each start is a cold process, and each look at the devices another.
vi.setConfig({ testTimeout: 120_000 });

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function node(gpus: number): SupervisedNode {
  const made = superviseNode(gpus);
  closers.push(made.close);
  return made;
}

test('is placed on a device, and started with it', async () => {
  const places: EnginePlace[] = [];
  const fake = fakeAdapter({}, { demand: ONE_DEVICE, portCount: 2 });
  const adapter: EngineAdapter = {
    ...fake,
    connect(setting, place) {
      places.push(place);
      return fake.connect(setting, place);
    },
  };
  const one = node(1).begin('one', adapter);
  await untilState(one, EngineState.READY);
  expect(one.last()).toMatchObject({ devices: [0], deviceKind: 'cuda' });
  expect(one.changes[0]).toMatchObject({ state: EngineState.PLACED, devices: [0], processId: 0 });
  expect(places[0]?.devices).toEqual([0]);
  expect(new Set(places[0]?.ports).size).toBe(2);
});

test('two engines never share a device that nobody shares', async () => {
  const { begin } = node(2);
  const [one, other] = [begin('one'), begin('other')];
  await Promise.all([untilState(one, EngineState.READY), untilState(other, EngineState.READY)]);
  expect([...one.last().devices, ...other.last().devices].sort()).toEqual([0, 1]);
});

test('where there is no room it says why, and starts as soon as there is', async () => {
  const { begin } = node(1);
  const one = begin('one');
  await untilState(one, EngineState.READY);
  // Only the release can wake it in time.
  const restart = { firstDelayMs: 600_000, maxDelayMs: 600_000 };
  const other = begin('other', undefined, { limits: { restart } });
  await untilState(other, EngineState.BACKOFF);
  expect(other.last()).toMatchObject({ devices: [], failure: { cause: FailureCause.DEVICE_BUSY, attempts: 1 } });
  expect(other.last().failure?.hint).toContain('other');
  expect(other.last().failure?.evidence.join()).toContain('one');
  expect(other.last().failure?.retryAt).toBeDefined();
  expect(other.last().restarts).toBe(0);
  await one.engine.stop(0);
  await untilState(other, EngineState.READY);
  expect(other.last().devices).toEqual([0]);
});

test('no room for long is no crash loop: it asks again after each delay', async () => {
  const { begin, machine } = node(1);
  const foreign = { processId: 1, gpus: [0], usedMiB: 20_000 };
  machine.change({ processes: [foreign] });
  const one = begin('one', undefined, { limits: { restart: { firstDelayMs: 5, maxDelayMs: 5 } } });
  await expect.poll(() => one.last().failure?.attempts).toBeGreaterThan(6);
  expect(one.states).toEqual(['BACKOFF']);
  machine.change({ processes: [] });
  await untilState(one, EngineState.READY);
});

test('is stopped while it waits for room', async () => {
  const { begin } = node(0);
  const one = begin('one');
  await untilState(one, EngineState.BACKOFF);
  await one.engine.stop(0);
  expect(one.states).toEqual(['BACKOFF', 'STOPPED']);
});

test('its place is free only when the driver reports the memory back', async () => {
  const { begin, machine } = node(1);
  const one = begin('one', undefined, { limits: { memoryBackMs: 60_000 } });
  await untilState(one, EngineState.READY);
  const { processId } = one.last();
  machine.change({ processes: [{ processId, gpus: [0], usedMiB: 8_000 }] });
  const stopped = one.engine.stop(0);
  await expect.poll(() => isRunning(processId)).toBe(false);
  const other = begin('other', undefined, { limits: { restart: { firstDelayMs: 10, maxDelayMs: 10 } } });
  await expect.poll(() => other.last().failure?.attempts).toBeGreaterThan(2);
  expect(one.last().state).toBe(EngineState.STOPPING);
  machine.change({ processes: [] });
  await stopped;
  expect(one.last().state).toBe(EngineState.STOPPED);
  await untilState(other, EngineState.READY);
});

test('memory that does not come back holds up neither the stop nor anything but its own device', async () => {
  const { begin, machine } = node(1);
  const one = begin('one', undefined, { limits: { memoryBackMs: 300 } });
  await untilState(one, EngineState.READY);
  machine.change({ processes: [{ processId: one.last().processId, gpus: [0], usedMiB: 8_000 }] });
  await one.engine.stop(0);
  expect(one.last().state).toBe(EngineState.STOPPED);
  expect(one.engineLog.tail(10).map(({ text }) => text)).toContainEqual(
    expect.stringMatching(/devices stay booked: .*not back/),
  );
  const other = begin('other', undefined, { limits: { restart: { firstDelayMs: 10, maxDelayMs: 10 } } });
  await expect.poll(() => other.last().failure?.attempts, { timeout: 60_000 }).toBeGreaterThan(2);
  expect(other.states).toEqual(['BACKOFF']);
  expect(other.last().failure?.hint).toContain("held by 'one', which has ended: 7.8 GiB of its memory are not back");
  machine.change({ processes: [] });
  await untilState(other, EngineState.READY);
});

test('an engine that crashed starts again only when its memory is back', async () => {
  const { begin, machine, devices } = node(1);
  const restart = { firstDelayMs: 10, maxDelayMs: 600_000 };
  const one = begin('one', undefined, { limits: { memoryBackMs: 300, restart } });
  await untilState(one, EngineState.READY);
  const { processId } = one.last();
  machine.change({ processes: [{ processId, gpus: [0], usedMiB: 8_000 }] });
  await devices.refresh();
  process.kill(processId, 'SIGKILL');
  await expect.poll(() => one.last().failure?.cause, { timeout: 60_000 }).toBe(FailureCause.DEVICE_BUSY);
  expect(one.last()).toMatchObject({ state: EngineState.BACKOFF, restarts: 1, processId: 0 });
  expect(one.last().failure?.hint).toContain("held by 'one', which has ended");
  // The book sees it and wakes the engine long before its next try.
  machine.change({ processes: [] });
  await devices.refresh();
  await untilState(one, EngineState.READY);
});

test('a crash gives the device back before the next start asks for it', async () => {
  const { begin } = node(1);
  const adapter = fakeAdapter({}, { demand: ONE_DEVICE, program: ['sh', '-c', 'exit 1'] });
  const restart = { firstDelayMs: 1, maxDelayMs: 1 };
  const one = begin('one', adapter, { limits: { restart } });
  await untilState(one, EngineState.QUARANTINED);
  expect(one.last().devices).toEqual([]);
  expect(one.changes.every(({ failure }) => failure?.cause !== FailureCause.DEVICE_BUSY)).toBe(true);
  const other = begin('other');
  await untilState(other, EngineState.READY);
});

test('a start that fails before there is a process gives its device back too', async () => {
  const adapter: EngineAdapter = {
    ...fakeAdapter({}, { demand: ONE_DEVICE }),
    connect: () => {
      throw new Error('the variable X is not set');
    },
  };
  const one = node(1).begin('one', adapter, { limits: { restart: { firstDelayMs: 1, maxDelayMs: 1 } } });
  await untilState(one, EngineState.QUARANTINED);
  expect(one.changes.every(({ failure }) => failure?.cause !== FailureCause.DEVICE_BUSY)).toBe(true);
});
