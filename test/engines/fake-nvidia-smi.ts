// A machine with GPUs that is a folder: what the fake nvidia-smi (bin/nvidia-smi.ts) reads, and what tests change.
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { isRunning } from './processes.ts';

/** A GPU of the fake machine; its index is its place in the list. */
export interface FakeGpu {
  readonly uuid: string;
  readonly name: string;
  /** Null: the driver says "[N/A]", as where memory is shared with the host. */
  readonly totalMiB: number | null;
  /** What the driver itself uses. */
  readonly driverMiB: number;
  readonly mig: 'Enabled' | 'Disabled' | '[N/A]';
  readonly slices: readonly { readonly profile: string; readonly uuid: string }[];
}

/** A process on the fake machine. */
export interface FakeGpuProcess {
  readonly processId: number;
  /** Indices of GPUs. */
  readonly gpus: readonly number[];
  /** On each of them. */
  readonly usedMiB: number;
}

/** What the fake driver shows. */
export interface FakeMachineState {
  readonly gpus: readonly FakeGpu[];
  /** Processes that need not exist; those of `claimGpuMemory` count while they run. */
  readonly processes: readonly FakeGpuProcess[];
  /** What nvidia-smi does instead of answering. */
  readonly fault?: { readonly code: number; readonly stdout?: string; readonly stderr?: string } | 'hang' | undefined;
  /** How much of the processes is told: as in a container, or without permission. */
  readonly processesTold: 'all' | 'none' | 'without-memory';
}

/** A fake machine. */
export interface FakeMachine {
  /** The folder; fake engines get it as FAKE_MACHINE. */
  readonly directory: string;
  /** A value for PATH under which nvidia-smi is the fake one. */
  readonly path: string;
  /** A value for MESH_DEVICE_CLAIMS_DIR: its meshes see each other, and not those of other tests. */
  readonly claimsDirectory: string;
  readonly state: FakeMachineState;
  /** Changes what the driver shows from now on. */
  change(change: Partial<FakeMachineState>): void;
  /** How often nvidia-smi was asked for the list of GPUs. */
  readonly looks: number;
  remove(): void;
}

/** GPUs of one kind, e.g. `gpusOf('NVIDIA H100 80GB HBM3', 81_559, 8)`. `first` numbers the UUIDs. */
export function gpusOf(name: string, totalMiB: number | null, count: number, first = 0): FakeGpu[] {
  return Array.from({ length: count }, (_, index) => {
    const uuid = `GPU-0000000${(first + index).toString(16)}-1111-2222-3333-444444444444`;
    return { uuid, name, totalMiB, driverMiB: 4, mig: '[N/A]', slices: [] };
  });
}

/** Makes a machine whose nvidia-smi is found first in its `path`. Remove it afterwards. */
export function createFakeMachine(initial: Partial<FakeMachineState> = {}): FakeMachine {
  const directory = mkdtempSync(join(tmpdir(), 'fake-machine-'));
  const bin = join(directory, 'bin');
  mkdirSync(bin);
  mkdirSync(join(directory, 'processes'));
  // Programs that the mesh asks get a scrubbed environment, so the folder is told by the program itself.
  const program = join(import.meta.dirname, 'bin', 'nvidia-smi.ts');
  // Compiled code is kept, as bin/node.sh does: the driver is asked often.
  const cache = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'node');
  const variables = `FAKE_MACHINE='${directory}' NODE_COMPILE_CACHE='${cache}'`;
  const script = `#!/bin/sh\n${variables} exec '${process.execPath}' '${program}' "$@"\n`;
  writeFileSync(join(bin, 'nvidia-smi'), script);
  chmodSync(join(bin, 'nvidia-smi'), 0o755);
  let state: FakeMachineState = { gpus: [], processes: [], processesTold: 'all', ...initial };
  writeState(directory, state);
  return {
    directory,
    path: `${bin}${delimiter}${process.env.PATH ?? ''}`,
    claimsDirectory: join(directory, 'claims'),
    get state() {
      return state;
    },
    change(change) {
      state = { ...state, ...change };
      writeState(directory, state);
    },
    get looks() {
      return readdirSync(directory).filter((name) => name.startsWith('look-')).length;
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

function writeState(directory: string, state: FakeMachineState): void {
  const file = join(directory, 'state.json');
  writeFileSync(`${file}.new`, JSON.stringify(state));
  renameSync(`${file}.new`, file);
}

/** The whole memory, in MiB, of the first device that CUDA_VISIBLE_DEVICES gives. 0 without FAKE_MACHINE or devices. */
export function visibleMemoryMiB(environment: NodeJS.ProcessEnv = process.env): number {
  const [first] = (environment.CUDA_VISIBLE_DEVICES ?? '').split(',').filter(Boolean).map(Number);
  if (environment.FAKE_MACHINE === undefined || first === undefined) return 0;
  return readState(environment.FAKE_MACHINE).gpus[first]?.totalMiB ?? 0;
}

/**
 * Makes the calling process take so much memory of each device that CUDA_VISIBLE_DEVICES gives it, instead of what it had,
 * until it ends. For fake engines; does nothing without FAKE_MACHINE in the environment.
 *
 * @throws Error as CUDA would, when a device has no room.
 */
export function claimGpuMemory(usedMiB: number, environment: NodeJS.ProcessEnv = process.env): void {
  const directory = environment.FAKE_MACHINE;
  if (directory === undefined) return;
  const gpus = (environment.CUDA_VISIBLE_DEVICES ?? '').split(',').filter(Boolean).map(Number);
  const all = readState(directory);
  const state = { ...all, processes: all.processes.filter(({ processId }) => processId !== process.pid) };
  for (const index of gpus) {
    const free = (state.gpus[index]?.totalMiB ?? 0) - usedOf(state, index);
    if (usedMiB > free) {
      throw new Error(`CUDA out of memory. Tried to allocate ${usedMiB} MiB. GPU ${index} has ${free} MiB free`);
    }
  }
  const claim: FakeGpuProcess = { processId: process.pid, gpus, usedMiB };
  // The driver may look at any moment.
  const draft = join(directory, `claim-${process.pid}.new`);
  writeFileSync(draft, JSON.stringify(claim));
  renameSync(draft, join(directory, 'processes', String(process.pid)));
}

/** The state of a fake machine, the processes that run included. */
export function readState(directory: string): FakeMachineState {
  const state = JSON.parse(readFileSync(join(directory, 'state.json'), 'utf8')) as FakeMachineState;
  const claims = readdirSync(join(directory, 'processes')).map(
    (name) => JSON.parse(readFileSync(join(directory, 'processes', name), 'utf8')) as FakeGpuProcess,
  );
  return { ...state, processes: [...state.processes, ...claims.filter(({ processId }) => isRunning(processId))] };
}

/** What is used of a GPU, in MiB. */
export function usedOf(state: FakeMachineState, index: number): number {
  const processes = state.processes.filter(({ gpus }) => gpus.includes(index));
  return processes.reduce((sum, { usedMiB }) => sum + usedMiB, state.gpus[index]?.driverMiB ?? 0);
}
