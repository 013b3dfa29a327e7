import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';
import { Caller, START_TIMEOUT_MS, text } from './caller.ts';
import { familyOf } from './engine-process.ts';
import { readPlan, traitsOf } from './plan.ts';

const plan = readPlan();
const [device] = plan.devices;

/** What a driver may keep or others may take meanwhile. */
const TOLERANCE_MIB = 64;

/** How long a driver may take to give memory back. */
const MEMORY_BACK_MS = 15_000;

function ask(query: string): string[][] {
  const text = execFileSync('nvidia-smi', [query, '--format=csv,noheader,nounits'], { encoding: 'utf8' });
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line) => line.split(',').map((part) => part.trim()));
}

const row = (): string[] | undefined =>
  ask('--query-gpu=index,uuid,memory.used').find(([index]) => Number(index) === device);

const usedMib = (): number => Number(row()?.[2]);

/** The processes that the driver tells of on the device. */
const processesOnDevice = (): number[] =>
  ask('--query-compute-apps=gpu_uuid,pid').flatMap(([uuid, pid]) => (uuid === row()?.[1] ? [Number(pid)] : []));

const memoryIsBack = (beforeMib: number) =>
  eventually('the memory is back', () => usedMib() <= beforeMib + TOLERANCE_MIB, MEMORY_BACK_MS);

// The tests of one engine build on each other. The device should have no other users meanwhile.
describe.skipIf(device === undefined).each(plan.engines)('memory of the device: $kind', (real) => {
  describe.skipIf(real.absent !== undefined)(real.absent ?? `version ${real.version}`, () => {
    let mesh: TestMesh;
    let caller: Caller;
    let beforeMib: number;
    let loadedMib: number;

    const generate = () =>
      caller.generate('chat', { prompt: text('hello'), sampling: { maxTokens: 8, temperature: 0 } });

    beforeAll(async () => {
      beforeMib = usedMib();
      const models = [{ ...traitsOf(real, plan).entry, name: 'chat', engine: real.kind, load: 'on_demand' }];
      mesh = await startMesh('one process', { config: { inference: { models } }, args: ['--model', 'none'] });
      caller = new Caller(mesh);
    }, START_TIMEOUT_MS);
    afterAll(() => mesh?.stop());

    test(
      'it sits on the device that was asked for',
      async ({ annotate }) => {
        await caller.load('chat');
        await generate();
        loadedMib = usedMib();
        console.log(`${real.kind}: ${loadedMib - beforeMib} MiB`);
        expect(loadedMib).toBeGreaterThan(beforeMib);
        const { processId, devices, deviceKind } = await caller.engine('chat');
        expect({ devices, deviceKind }).toEqual({ devices: plan.devices, deviceKind: 'cuda' });
        const told = processesOnDevice();
        if (told.length === 0) await annotate('the driver tells of no process here, as in many containers');
        else expect((await familyOf(processId)).some((one) => told.includes(one))).toBe(true);
      },
      START_TIMEOUT_MS,
    );

    test(
      'its memory is back when it is unloaded',
      async () => {
        await caller.unload('chat');
        await memoryIsBack(beforeMib);
      },
      START_TIMEOUT_MS,
    );

    test(
      'a crash gives its memory back before the next start takes it',
      async () => {
        await caller.load('chat');
        await generate();
        process.kill((await caller.engine('chat')).processId, 'SIGKILL');
        await eventually(
          'it was started again',
          async () => {
            const { restarts, state } = await caller.engine('chat');
            return restarts > 0 && state === EngineState.READY;
          },
          START_TIMEOUT_MS,
        );
        await generate();
        await memoryIsBack(loadedMib);
      },
      2 * START_TIMEOUT_MS,
    );

    test('its memory is back after a SIGKILL of the mesh', async () => {
      mesh.processes.get('all')?.child.kill('SIGKILL');
      await memoryIsBack(beforeMib);
    });
  });
});
