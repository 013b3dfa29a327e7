import { afterEach, expect, test } from 'vitest';
import {
  createFakeMachine,
  type FakeMachine,
  type FakeMachineState,
  gpusOf,
} from '../../../test/engines/fake-nvidia-smi.ts';
import { readDriver } from './driver.ts';
import { parseGpus, parseProcesses, parseSlices } from './nvidia-smi-text.ts';

const MIB = 1024 * 1024;

const machines: FakeMachine[] = [];
afterEach(() => {
  for (const machine of machines.splice(0)) machine.remove();
});

function look(state: Partial<FakeMachineState>, timeoutMs?: number) {
  const machine = createFakeMachine(state);
  machines.push(machine);
  return readDriver((name) => (name === 'PATH' ? machine.path : undefined), timeoutMs);
}

test('devices, memory and processes are read', async () => {
  const [first, second] = gpusOf('NVIDIA H100 80GB HBM3', 81_559, 2);
  const reading = await look({
    gpus: gpusOf('NVIDIA H100 80GB HBM3', 81_559, 2),
    processes: [{ processId: 4_000_001, gpus: [0, 1], usedMiB: 1_000 }],
  });
  expect(reading).toEqual({
    gpus: [
      {
        index: 0,
        uuid: first?.uuid,
        name: first?.name,
        totalBytes: 81_559 * MIB,
        usedBytes: 1_004 * MIB,
        migMode: false,
      },
      {
        index: 1,
        uuid: second?.uuid,
        name: second?.name,
        totalBytes: 81_559 * MIB,
        usedBytes: 1_004 * MIB,
        migMode: false,
      },
    ],
    isWhole: true,
    processes: [
      { processId: 4_000_001, uuid: first?.uuid, usedBytes: 1_000 * MIB },
      { processId: 4_000_001, uuid: second?.uuid, usedBytes: 1_000 * MIB },
    ],
    slices: [],
    problem: undefined,
    absent: false,
  });
});

test('MIG slices are listed under their GPU', async () => {
  const [gpu] = gpusOf('NVIDIA A100-SXM4-80GB', 81_920, 1);
  if (!gpu) throw new Error('no GPU');
  const slices = [
    { profile: '3g.40gb', uuid: 'MIG-aaaa' },
    { profile: '1g.10gb+me', uuid: 'MIG-bbbb' },
  ];
  const reading = await look({ gpus: [{ ...gpu, mig: 'Enabled', slices }] });
  expect(reading.gpus[0]?.migMode).toBe(true);
  expect(reading.slices).toEqual([
    { parentUuid: gpu.uuid, uuid: 'MIG-aaaa', name: 'MIG 3g.40gb', totalBytes: 40 * 1024 * MIB },
    { parentUuid: gpu.uuid, uuid: 'MIG-bbbb', name: 'MIG 1g.10gb+me', totalBytes: 10 * 1024 * MIB },
  ]);
});

test('what the driver does not tell is unset, not 0', async () => {
  const reading = await look({
    gpus: gpusOf('NVIDIA GB10', null, 1),
    processes: [{ processId: 4_000_001, gpus: [0], usedMiB: 1 }],
    processesTold: 'without-memory',
  });
  expect(reading.gpus[0]).toMatchObject({ totalBytes: undefined, usedBytes: undefined });
  expect(reading.processes[0]).toMatchObject({ processId: 4_000_001, usedBytes: undefined });
});

test('without nvidia-smi there is no device and no problem', async () => {
  const reading = await readDriver((name) => (name === 'PATH' ? '/no/such/place' : undefined));
  expect(reading).toEqual({ gpus: [], isWhole: false, processes: [], slices: [], absent: true });
});

test.each([
  [
    { code: 9, stdout: "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n" },
    'communicate',
  ],
  [{ code: 255, stderr: 'Unable to determine the device handle for GPU0000:07:00.0: Unknown Error\n' }, '0000:07:00.0'],
])('its own words are told when it fails: %j', async (fault, words) => {
  const reading = await look({ gpus: gpusOf('NVIDIA L4', 23_034, 1), fault });
  expect(reading).toMatchObject({ gpus: [], isWhole: false, absent: false });
  expect(reading.problem).toContain(`ended with code ${fault.code}`);
  expect(reading.problem).toContain(words);
});

test('a driver that does not answer is given up', async () => {
  const reading = await look({ gpus: gpusOf('NVIDIA L4', 23_034, 1), fault: 'hang' }, 1_000);
  expect(reading.problem).toContain('did not end within 1000 ms');
  expect(reading.isWhole).toBe(false);
});

test('a driver without devices is a problem', async () => {
  const reading = await look({ gpus: [] });
  expect(reading.problem).toContain('No devices were found');
  // It works and says that there is none, unlike one that cannot answer.
  expect(reading.isWhole).toBe(true);
});

test('what is no row is passed over', () => {
  expect(
    parseGpus('Unable to determine the device handle\n\n1, GPU-b, Odd, Name, 10, 1, [N/A], 0:1:0\n'),
  ).toMatchObject([{ index: 1, name: 'Odd, Name', totalBytes: 10 * MIB }]);
  expect(parseProcesses('[N/A], GPU-a, 5\nNo running processes found\n')).toEqual([]);
  expect(parseSlices('GPU 0: X (UUID: GPU-a)\n')).toEqual([]);
});
