import { spawn } from 'node:child_process';
import { once } from 'node:events';
import pino from 'pino';
import { afterEach, expect, test, vi } from 'vitest';
import { createFakeMachine, gpusOf } from '../../../test/engines/fake-nvidia-smi.ts';
import { createDeviceBook } from '../devices/device-book.ts';
import { keepApart } from './earlier-engines.ts';
import type { EndedLease } from './leases.ts';
import { createPortPool, NoFreePortError } from './port-pool.ts';
import { newMark, startTimeOf } from './process-table.ts';
import { SurvivorsLeftError } from './survivors.ts';

// Each look starts processes of Node.js, which is slow where others compute as well.
vi.setConfig({ testTimeout: 120_000 });

const closers: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

test.runIf(process.platform === 'linux')(
  'ports of earlier engines rest, and devices of what cannot be ended are blocked until it is gone',
  async () => {
    const machine = createFakeMachine({ gpus: gpusOf('NVIDIA GeForce RTX 4090', 24_564, 2) });
    const variables: Readonly<Record<string, string>> = {
      PATH: machine.path,
      MESH_DEVICE_CLAIMS_DIR: machine.claimsDirectory,
    };
    const devices = createDeviceBook({
      devices: 'auto',
      environmentVariable: (name) => variables[name],
      ownProcesses: () => new Map(),
      log: pino({ level: 'silent' }),
    });
    closers.push(
      () => machine.remove(),
      () => devices.close(),
    );
    const [some = 0, other = 0] = [...(await createPortPool().take(2))].sort();
    const ports = createPortPool({ ports: { first: some, end: some + 1 } });
    const lease = (device: number, port: number): EndedLease['lease'] => ({
      engine: `old-${device}`,
      mark: newMark(),
      processId: 7,
      startTime: '',
      ports: [port],
      devices: [device],
      memory: { [machine.state.gpus[device]?.uuid ?? '']: 8 * 2 ** 30 },
    });
    // Stands for a process that hangs in the driver: nobody ends it before it goes by itself.
    const child = spawn('sleep', ['600']);
    closers.push(() => void child.kill('SIGKILL'));
    const stubborn = { processId: child.pid ?? 0, startTime: startTimeOf(child.pid ?? 0) ?? '' };
    const survivors = new SurvivorsLeftError([stubborn], 5_000, undefined);
    await keepApart([{ lease: lease(0, some) }, { lease: lease(1, other), survivors }], { devices, ports });

    await expect(ports.take(1)).rejects.toThrow(NoFreePortError);
    const demand = {
      count: 1,
      claim: { kind: 'bytes', bytes: 1 },
      neededBytes: 1,
      shares: true,
      fallsBackToCpu: false,
    } as const;
    const onSecond = { ...demand, indices: [1] };
    await devices.refresh();
    expect(devices.explain(onSecond)).toMatchObject({
      fits: false,
      why: expect.stringContaining(`held by 'old-1', which has ended: processes ${child.pid} of it cannot be ended`),
    });
    expect(await devices.book('a', demand)).toMatchObject({ devices: [0] });
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await devices.book('b', onSecond)).toMatchObject({ devices: [1] });
  },
);
