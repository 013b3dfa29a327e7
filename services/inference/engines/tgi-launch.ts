import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { EngineLaunch, EnginePlace, EngineProgress, FailureSignature } from './engine.ts';
import { processLaunch } from './process-launch.ts';
import type { TgiEntry } from './tgi-entry.ts';

/** Three listeners of its own; two launchers on one host collide on any of their defaults, and on that of the shards' socket. */
export const TGI_PORT_COUNT = 3;

/** The share of a device's memory that it may use when the entry does not say. Its own default is all of it. */
const DEFAULT_MEMORY_SHARE = 0.9;

/** As many stop texts and alternatives as a request may have; its defaults are 4 and 5. */
const MAX_STOP_TEXTS = 16;
const MAX_ALTERNATIVES = 20;

/** How long its parts may take to end, in seconds: less than the supervisor waits before it kills. */
const TERMINATION_SECONDS = 5;

/** Where one start listens. */
export interface TgiPlace extends EnginePlace {
  /** The shards' sockets: it appends "-0", "-1", …. */
  readonly shardSocketPath: string;
  readonly apiKey: string;
}

/** The share of each device that the launcher is given, from 0 to 1. */
export function tgiMemoryShare(entry: TgiEntry): number {
  return entry.gpu_memory_utilization ?? DEFAULT_MEMORY_SHARE;
}

/** The process of one start. */
export function tgiLaunch(entry: TgiEntry, place: TgiPlace): EngineLaunch {
  const [port, prometheusPort, masterPort] = place.ports;
  const shards = Math.max(1, place.devices.length);
  const args = ['--model-id', entry.model, '--hostname', '127.0.0.1', '--port', String(port)];
  args.push('--prometheus-port', String(prometheusPort), '--master-port', String(masterPort));
  args.push('--shard-uds-path', place.shardSocketPath, '--num-shard', String(shards));
  args.push('--cuda-memory-fraction', String(tgiMemoryShare(entry)));
  args.push('--max-stop-sequences', String(MAX_STOP_TEXTS), '--max-top-n-tokens', String(MAX_ALTERNATIVES));
  args.push('--graceful-termination-timeout', String(TERMINATION_SECONDS), '--usage-stats', 'off');
  if (entry.max_model_len !== undefined) args.push('--max-total-tokens', String(entry.max_model_len));
  if (entry.max_concurrency !== undefined) args.push('--max-concurrent-requests', String(entry.max_concurrency));
  // It knows no "auto": that is leaving it out.
  if (entry.dtype !== undefined && entry.dtype !== 'auto') args.push('--dtype', entry.dtype);
  if (entry.quantization !== undefined) args.push('--quantize', entry.quantization);
  return processLaunch(entry, place, {
    program: entry.program ?? 'text-generation-launcher',
    args,
    // Colours would end up in the log and in the evidence.
    defaults: { NO_COLOR: '1' },
    apiKey: { variable: 'API_KEY', value: place.apiKey },
    readLine: readTgiProgress,
    failures: TGI_FAILURES,
  });
}

/** What its lines say about the start, the earliest stage first. */
const STAGES: readonly (readonly [RegExp, string])[] = [
  [/Starting check and download process/, 'checking weights'],
  [/Download(?:: \[| file:)/, 'downloading weights'],
  [/Convert: \[/, 'converting weights'],
  [/Successfully downloaded weights/, 'weights are here'],
  // Every 10 s while the shard lives. It writes little else for as long as the weights take.
  [/Starting shard|Waiting for shard to be ready/, 'loading weights'],
  [/Shard ready in/, 'weights loaded'],
  [/Starting Webserver/, 'starting the web server'],
  [/Warming up model/, 'warming up'],
  [/Cuda Graphs are enabled/i, 'capturing CUDA graphs'],
  [/Setting max batch total tokens to/, 'warmed up'],
];

/** How far a start is, by a line of the launcher or of what it started. */
export function readTgiProgress(line: string): EngineProgress | undefined {
  const stage = STAGES.find(([pattern]) => pattern.test(line))?.[1];
  if (stage === undefined) return undefined;
  const [, done, total] = /\[(\d+)\/(\d+)\]/.exec(line) ?? [];
  const percent = done && total && total !== '0' ? Math.round((100 * Number(done)) / Number(total)) : undefined;
  return { stage, ...(percent === undefined ? {} : { percent }) };
}

/** What its lines mean that tell why a start or the engine failed, the most telling first. */
export const TGI_FAILURES: readonly FailureSignature[] = [
  {
    pattern: /^error: (?:unexpected argument|invalid value|the argument|a value is required)/,
    cause: FailureCause.BAD_FLAG,
    hint: 'The launcher does not know an argument, or not its value. Correct extra_args, dtype or quantization.',
  },
  {
    pattern: /ArgumentValidation\(|Invalid argument:/,
    cause: FailureCause.BAD_FLAG,
    hint: 'The launcher refuses a combination of arguments; its line says which. Correct max_model_len or extra_args.',
  },
  {
    pattern: /not enough cuda devices|NotEnoughCUDADevices/,
    cause: FailureCause.BAD_FLAG,
    hint: 'There are fewer devices than shards. Lower tensor_parallel_size or name more devices.',
  },
  {
    pattern: /(?:text-generation-server|text-generation-router) not found in PATH/,
    cause: FailureCause.EXECUTABLE_MISSING,
    hint: 'The launcher does not find its own programs. Put text-generation-server and text-generation-router on PATH.',
  },
  {
    pattern: /Not enough memory to handle \d+ prefill tokens|Unable to warmup model.*out of memory/,
    cause: FailureCause.OUT_OF_MEMORY_KV_CACHE,
    hint: 'The weights fit, the largest batch does not. Lower max_model_len or --max-batch-prefill-tokens, or raise gpu_memory_utilization.',
  },
  {
    pattern: /CUDA-capable device\(?s?\)? (?:is\/are|are|is) busy or unavailable/,
    cause: FailureCause.DEVICE_BUSY,
    hint: 'Another process has the device for itself. Stop it, or name another device in devices.',
  },
  {
    pattern: /CUDA out of memory|OutOfMemoryError|would exceed allowed memory/,
    cause: FailureCause.OUT_OF_MEMORY_WEIGHTS,
    hint: 'The weights do not fit. Raise gpu_memory_utilization or tensor_parallel_size, or set quantization.',
  },
  {
    pattern: /Address already in use|EADDRINUSE|AddrInUse/,
    cause: FailureCause.ORPHAN_FOUND,
    hint: 'Another process holds a port or socket of this start. The next start takes others.',
  },
  {
    pattern: /NCCL error|ncclSystemError|ncclInternalError|ncclUnhandledCudaError/,
    cause: FailureCause.NCCL,
    hint: 'The devices could not talk to each other. Try env NCCL_P2P_DISABLE=1, or a single device.',
  },
  {
    pattern: /Unsupported model type|sharded is not supported for AutoModel|ValueError: .*(?:architecture|model_type)/,
    cause: FailureCause.UNSUPPORTED_MODEL,
    hint: 'TGI cannot run this model, or not on several devices. Use another engine, or tensor_parallel_size 1.',
  },
  {
    pattern: /RepositoryNotFoundError|GatedRepoError|LocalEntryNotFoundError|RevisionNotFoundError/,
    cause: FailureCause.UNSUPPORTED_MODEL,
    hint: 'The model was not found. Correct its path or name; a gated one needs HF_TOKEN in env.',
  },
];
