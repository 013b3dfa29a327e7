// The fake nvidia-smi: the options that the mesh uses, in the real one's formats and words.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type FakeGpu, type FakeMachineState, readState, usedOf } from '../fake-nvidia-smi.ts';

const INVALID_ARGUMENT = 2;
const NO_DRIVER = 9;

const GPU_FIELDS: Readonly<Record<string, (gpu: FakeGpu, index: number, state: FakeMachineState) => string | number>> =
  {
    index: (_, index) => index,
    uuid: (gpu) => gpu.uuid,
    name: (gpu) => gpu.name,
    'memory.total': (gpu) => gpu.totalMiB ?? '[N/A]',
    'memory.used': (gpu, index, state) => (gpu.totalMiB === null ? '[N/A]' : usedOf(state, index)),
    'mig.mode.current': (gpu) => gpu.mig,
    'pci.bus_id': (_, index) => `00000000:${(index + 1).toString(16).padStart(2, '0').toUpperCase()}:00.0`,
  };

const PROCESS_FIELDS = ['pid', 'gpu_uuid', 'used_memory'];

function fail(code: number, text: string): never {
  process.stdout.write(`${text}\n`);
  process.exit(code);
}

function fieldsOf(list: string, known: readonly string[]): string[] {
  const fields = list.split(',');
  const wrong = fields.find((field) => !known.includes(field));
  if (wrong !== undefined) fail(INVALID_ARGUMENT, `Field "${wrong}" is not a valid field to query.\n`);
  return fields;
}

function gpuTable(state: FakeMachineState, list: string): string[] {
  const fields = fieldsOf(list, Object.keys(GPU_FIELDS));
  return state.gpus.map((gpu, index) => fields.map((field) => GPU_FIELDS[field]?.(gpu, index, state)).join(', '));
}

function processTable(state: FakeMachineState, list: string): string[] {
  const fields = fieldsOf(list, PROCESS_FIELDS);
  if (state.processesTold === 'none') return [];
  return state.processes.flatMap(({ processId, gpus, usedMiB }) =>
    gpus.map((index) => {
      const memory = state.processesTold === 'without-memory' ? '[Insufficient Permissions]' : usedMiB;
      const row = { pid: processId, gpu_uuid: state.gpus[index]?.uuid ?? '', used_memory: memory };
      return fields.map((field) => row[field as keyof typeof row]).join(', ');
    }),
  );
}

function list(state: FakeMachineState): string[] {
  return state.gpus.flatMap((gpu, index) => [
    `GPU ${index}: ${gpu.name} (UUID: ${gpu.uuid})`,
    ...gpu.slices.map(({ profile, uuid }, slice) => `  MIG ${profile}     Device  ${slice}: (UUID: ${uuid})`),
  ]);
}

const directory = process.env.FAKE_MACHINE;
if (directory === undefined) {
  const words = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.";
  fail(NO_DRIVER, `${words} Make sure that the latest NVIDIA driver is installed and running.\n`);
}
const args = process.argv.slice(2);
const gpuQuery = args.find((arg) => arg.startsWith('--query-gpu='));
if (gpuQuery) writeFileSync(join(directory, `look-${process.pid}-${process.hrtime.bigint()}`), '');
const state = readState(directory);
if (state.fault === 'hang') {
  setInterval(() => {}, 1_000);
} else if (state.fault) {
  process.stdout.write(state.fault.stdout ?? '');
  process.stderr.write(state.fault.stderr ?? '');
  process.exitCode = state.fault.code;
} else {
  process.stdout.write(
    answer(state)
      .map((line) => `${line}\n`)
      .join(''),
  );
}

function answer(state: FakeMachineState): string[] {
  if (args.length === 1 && (args[0] === '-L' || args[0] === '--list-gpus')) return list(state);
  const [query = '', format, ...rest] = args;
  if (format !== '--format=csv,noheader,nounits' || rest.length > 0) {
    fail(INVALID_ARGUMENT, "Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n");
  }
  const [option, fields = ''] = query.split('=');
  if (option === '--query-gpu') return state.gpus.length === 0 ? ['No devices were found'] : gpuTable(state, fields);
  if (option === '--query-compute-apps') return processTable(state, fields);
  return fail(INVALID_ARGUMENT, `Option ${option} is not recognized. Please run 'nvidia-smi -h'.\n`);
}
