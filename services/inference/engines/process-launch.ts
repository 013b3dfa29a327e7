import { randomBytes } from 'node:crypto';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { estimateMemory, type ModelUse } from '../devices/vram-estimate.ts';
import type { RunIdentity } from '../devices/vram-ledger.ts';
import type { DeviceDemand, EngineLaunch, EnginePlace, EngineSetting } from './engine.ts';
import { secretValues } from './secret-values.ts';

/** What entries of all started engines have. */
export interface StartedEntry {
  readonly engine: string;
  readonly model: string;
  readonly devices?: readonly number[] | undefined;
  /** Whether it must not run on the CPU where no device has room. A caller asks for that, the configuration does not. */
  readonly cudaOnly?: boolean | undefined;
  readonly tensor_parallel_size?: number | undefined;
  readonly share_devices: boolean;
  readonly env: Readonly<Record<string, string>>;
  readonly extra_args?: readonly string[] | undefined;
}

/** What one kind of engine says of its process; the rest is the same for all. */
export interface ProcessParts extends Pick<EngineLaunch, 'program' | 'args' | 'readLine' | 'failures'> {
  /** What the operator's variables may change, e.g. what keeps the engine from telling its maker about itself. */
  readonly defaults?: Readonly<Record<string, string>>;
  /** What they may not. */
  readonly environment?: Readonly<Record<string, string>>;
  /** The key of this start, in a variable: arguments are in every process list. Unset: the engine knows none. */
  readonly apiKey?: { readonly variable: string; readonly value: string };
}

/** The process of one start: on its devices alone, with the operator's variables and arguments, secrets known. */
export function processLaunch(entry: StartedEntry, place: EnginePlace, parts: ProcessParts): EngineLaunch {
  const key = parts.apiKey;
  return {
    program: parts.program,
    args: [...parts.args, ...(entry.extra_args ?? [])],
    environment: {
      ...parts.defaults,
      ...entry.env,
      ...parts.environment,
      ...(key && { [key.variable]: key.value }),
      ...deviceVariables(place.devices),
    },
    secrets: [...(key ? [key.value] : []), ...secretValues(entry.env)],
    readLine: parts.readLine,
    failures: parts.failures,
  };
}

/**
 * The variables that show an engine the devices of its place and no other. Integers, because UUIDs crash vLLM, in the
 * order of the driver's tools: CUDA's own default puts the fastest device first.
 */
export function deviceVariables(devices: readonly number[]): Record<string, string> {
  return { CUDA_DEVICE_ORDER: 'PCI_BUS_ID', CUDA_VISIBLE_DEVICES: devices.join(',') };
}

/** A random key for one start. */
export function newEngineKey(): string {
  return randomBytes(24).toString('base64url');
}

/** A path for the Unix socket of one start, short enough for the operating system's limit of about 100 bytes. */
export function newSocketPath(setting: Pick<EngineSetting, 'runDirectory'>): string {
  return join(setting.runDirectory, `${randomBytes(4).toString('hex')}.sock`);
}

/**
 * What a started engine needs of devices. Undefined for an entry that names none: the CPU.
 *
 * @param use what its memory depends on; undefined: that cannot be told before it runs.
 * @param share what it claims of each device whatever the model needs, from 0 to 1; unset: what the model needs.
 * @throws ModelFilesError when the model's files are here and cannot be read.
 */
export async function deviceDemand(
  entry: StartedEntry,
  use: ModelUse | undefined,
  { share, fallsBackToCpu, growsWithUse }: Claiming,
): Promise<DeviceDemand | undefined> {
  const count = entry.devices?.length ?? entry.tensor_parallel_size ?? 1;
  if (count === 0) return undefined;
  const wanted = use && { tensorParallel: count, ...use };
  const estimate = wanted && (await estimateMemory(wanted, (name) => variableOf(entry, name)));
  const neededBytes = estimate?.perDeviceBytes ?? 0;
  return {
    run: runOf(entry, count, estimate?.weightsBytes),
    count,
    indices: entry.devices,
    claim: share === undefined ? { kind: 'bytes', bytes: neededBytes } : { kind: 'share', share },
    neededBytes,
    growsWithUse,
    shares: entry.share_devices,
    fallsBackToCpu: fallsBackToCpu && entry.cudaOnly !== true,
  };
}

/** How one kind of engine claims devices. */
export interface Claiming {
  /** What it claims of each device whatever the model needs, from 0 to 1. Unset: what the model needs. */
  readonly share?: number | undefined;
  readonly fallsBackToCpu: boolean;
  /** Whether it takes memory for its cache as that fills. */
  readonly growsWithUse?: boolean | undefined;
}

/** What makes no difference to how much memory a run takes, or is nobody's business. */
const NO_FLAGS = new Set([
  ...['name', 'engine', 'model', 'required', 'load', 'ttl_seconds', 'start_timeout_seconds'],
  ...['devices', 'cudaOnly', 'share_devices', 'env', 'program', 'sleep_mode'],
]);

/** With the size of the weights, because other files may lie at the same path later. */
function runOf(entry: StartedEntry, devices: number, weightsBytes: number | undefined): RunIdentity {
  const flags = Object.entries(entry).filter(([field]) => !NO_FLAGS.has(field));
  return { engine: entry.engine, model: entry.model, flags: { ...Object.fromEntries(flags), devices, weightsBytes } };
}

/** Where the engine itself looks for models: its own variables and the few of ours that it inherits. */
function variableOf(entry: StartedEntry, name: string): string | undefined {
  return entry.env[name] ?? (name === 'HOME' ? homedir() : undefined);
}
