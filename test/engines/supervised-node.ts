// A node with CUDA devices: a fake machine, its device book, and engines that share it under supervision.
import pino from 'pino';
import { expect } from 'vitest';
import type { EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { createDeviceBook, type DeviceBook } from '../../services/inference/devices/device-book.ts';
import type { DeviceDemand, EngineAdapter } from '../../services/inference/engines/engine.ts';
import { OwnProcesses } from '../../services/inference/supervisor/own-processes.ts';
import { fakeAdapter } from './fake-adapter.ts';
import { createFakeMachine, type FakeMachine, gpusOf } from './fake-nvidia-smi.ts';
import { type Supervised, type SuperviseOptions, supervise } from './supervise.ts';

const GIB = 2 ** 30;

/** What an engine needs that takes one device for itself. */
export const ONE_DEVICE: DeviceDemand = {
  count: 1,
  claim: { kind: 'bytes', bytes: 8 * GIB },
  neededBytes: 8 * GIB,
  shares: false,
  fallsBackToCpu: false,
};

/** A node. */
export interface SupervisedNode {
  readonly machine: FakeMachine;
  readonly devices: DeviceBook;
  /** Starts an engine; by default one that takes one device for itself. */
  begin(name: string, adapter?: EngineAdapter, options?: SuperviseOptions): Supervised;
  close(): Promise<void>;
}

/** A node with so many devices, which it looks at every `pollMs` milliseconds; unset: on demand only. */
export function superviseNode(gpus: number, pollMs?: number): SupervisedNode {
  const machine = createFakeMachine({ gpus: gpusOf('NVIDIA GeForce RTX 4090', 24_564, gpus) });
  const running: Supervised[] = [];
  const own = new OwnProcesses(
    () => running.flatMap(({ engine }) => engine.marked ?? []),
    () => devices.marks,
  );
  const variables: Readonly<Record<string, string>> = {
    PATH: machine.path,
    MESH_DEVICE_CLAIMS_DIR: machine.claimsDirectory,
  };
  const devices: DeviceBook = createDeviceBook({
    devices: 'auto',
    environmentVariable: (name) => variables[name],
    ownProcesses: () => own.find(),
    log: pino({ level: 'silent' }),
    ...(pollMs !== undefined && { pollMs }),
  });
  if (pollMs !== undefined) devices.start();
  return {
    machine,
    devices,
    begin(name, adapter = fakeAdapter({}, { demand: ONE_DEVICE }), options = {}) {
      const supervised = supervise(adapter, { ...options, name, devices, onChange: () => own.note() });
      running.push(supervised);
      supervised.engine.start();
      return supervised;
    },
    async close() {
      for (const supervised of running.reverse()) await supervised.close();
      await devices.close();
      machine.remove();
    },
  };
}

/** Waits until an engine is in a state. */
export function untilState({ engine }: Supervised, state: EngineState): Promise<void> {
  return expect.poll(() => engine.status.state, { timeout: 60_000, interval: 10 }).toBe(state);
}
