import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { EngineLaunch, EnginePlace, EngineProgress, FailureSignature } from './engine.ts';
import type { LlamaServerEntry } from './llama-server-entry.ts';
import { processLaunch } from './process-launch.ts';

/** More layers than any model has: all of them. Its own default differs between versions. */
const ALL_LAYERS = 999;

/** Where one start listens. */
export interface LlamaServerPlace extends EnginePlace {
  /** Ends in ".sock", by which it knows a path from a host name. */
  readonly socketPath: string;
  readonly apiKey: string;
}

/** The process of one start; `modelId` is the name under which it serves. */
export function llamaServerLaunch(entry: LlamaServerEntry, modelId: string, place: LlamaServerPlace): EngineLaunch {
  const args = ['-m', entry.model, '--host', place.socketPath, '--alias', modelId];
  // Tools and templates need the engine of templates, which older versions leave off.
  args.push('--metrics', '--slots', '--no-webui', '--jinja');
  const { max_model_len: length, max_concurrency: slots } = entry;
  // The context is shared out over the slots, unless it is left to choose their number.
  if (length !== undefined) args.push('-c', String(length * (slots ?? 1)));
  if (slots !== undefined) args.push('-np', String(slots));
  // CUDA numbers the devices that the process sees from 0.
  const devices = place.devices.map((_, index) => `CUDA${index}`);
  args.push('-ngl', String(devices.length === 0 ? 0 : (entry.gpu_layers ?? ALL_LAYERS)));
  args.push('--device', devices.length === 0 ? 'none' : devices.join(','));
  if (entry.task === 'embed') args.push('--embedding');
  return processLaunch(entry, place, {
    program: entry.program ?? 'llama-server',
    args,
    apiKey: { variable: 'LLAMA_API_KEY', value: place.apiKey },
    readLine: readLlamaServerProgress,
    failures: LLAMA_SERVER_FAILURES,
  });
}

/** What its lines say about the start. */
const STAGES: readonly (readonly [RegExp, string])[] = [
  [/load_model: loading model/, 'reading the model file'],
  [/llama_model_loader:|print_info:/, 'reading the model file'],
  [/load_tensors:/, 'loading weights'],
  [/llama_context:|llama_kv_cache|KV buffer size/, 'making the cache'],
  [/warming up the model/, 'warming up'],
  [/initializing slots|new slot/, 'making slots'],
  [/main: model loaded|server is listening/, 'loaded'],
];

/** How far a start is, by a line of its log. */
export function readLlamaServerProgress(line: string): EngineProgress | undefined {
  const stage = STAGES.find(([pattern]) => pattern.test(line))?.[1];
  const deviceKind = deviceOf(line);
  if (stage === undefined && deviceKind === undefined) return undefined;
  const slots = /n_slots = (\d+)/.exec(line)?.[1];
  const context = /new slot,? n_ctx(?:_slot)? = (\d+)/.exec(line)?.[1];
  return {
    stage: stage ?? 'looking for devices',
    ...(deviceKind === undefined ? {} : { deviceKind }),
    ...(slots === undefined ? {} : { maxConcurrency: Number(slots) }),
    ...(context === undefined ? {} : { contextTokens: Number(context) }),
  };
}

/** "using device CUDA0 (…) - 15221 MiB free", or what is left of the layers for a device. */
function deviceOf(line: string): string | undefined {
  if (/offloaded 0\/\d+ layers/.test(line)) return 'cpu';
  const device = /using device (CUDA|Metal|MTL|Vulkan|ROCm)\d*/i.exec(line)?.[1];
  if (device === undefined) return undefined;
  return /^(?:metal|mtl)$/i.test(device) ? 'metal' : device.toLowerCase();
}

/** What its lines mean that tell why a start or the engine failed, the most telling first. */
export const LLAMA_SERVER_FAILURES: readonly FailureSignature[] = [
  {
    pattern: /error: invalid argument:|error while handling argument/,
    cause: FailureCause.BAD_FLAG,
    hint: 'llama-server does not know an argument, or not its value. Correct extra_args.',
  },
  {
    pattern: /invalid device:|error: no devices? found/,
    cause: FailureCause.BAD_FLAG,
    hint: 'llama-server does not see the device: it is built without CUDA, or the driver does not run.',
  },
  {
    pattern: /failed to allocate buffer for kv cache|failed to (?:initialize the context|create context)/,
    cause: FailureCause.OUT_OF_MEMORY_KV_CACHE,
    hint: 'The weights fit, the cache does not. Lower max_model_len or max_concurrency, or quantize the cache (-ctk, -ctv).',
  },
  {
    // It tries again by itself when it says so.
    pattern: /failed to allocate compute (?:pp )?buffers(?!.*retrying)/,
    cause: FailureCause.OUT_OF_MEMORY_KV_CACHE,
    hint: 'The weights fit, the workspace does not. Lower max_model_len, or -ub in extra_args.',
  },
  {
    pattern: /CUDA-capable device\(?s?\)? (?:is\/are|are|is) busy or unavailable/,
    cause: FailureCause.DEVICE_BUSY,
    hint: 'Another process has the device for itself. Stop it, or name another device in devices.',
  },
  {
    pattern: /NCCL error/,
    cause: FailureCause.NCCL,
    hint: 'The devices could not talk to each other. Try a single device.',
  },
  {
    pattern:
      /error loading model: (?:.*unknown model architecture|.*(?:tensor|hyperparameters|vocab|magic|key not found))/,
    cause: FailureCause.UNSUPPORTED_MODEL,
    hint: 'llama-server cannot run this file: it is newer than the program, damaged, or no model. Update or replace one of them.',
  },
  {
    pattern: /failed to open GGUF file|gguf_init_from_file(?:_impl)?: (?:failed to open|invalid magic)/,
    cause: FailureCause.UNSUPPORTED_MODEL,
    hint: 'The model file cannot be read, or is no GGUF. Correct the path.',
  },
  {
    pattern: /alloc_tensor_range: failed to allocate|cudaMalloc failed: out of memory|unable to allocate \w+ buffer/,
    cause: FailureCause.OUT_OF_MEMORY_WEIGHTS,
    hint: 'The weights do not fit. Lower gpu_layers, take a smaller quantization, or name more devices.',
  },
  {
    pattern: /CUDA error: out of memory/,
    cause: FailureCause.OUT_OF_MEMORY_KV_CACHE,
    hint: 'Memory ran out while it worked. Lower max_model_len or max_concurrency.',
  },
  {
    pattern: /couldn't bind (?:HTTP )?server socket/,
    cause: FailureCause.ORPHAN_FOUND,
    hint: 'Another process holds the socket of this start. The next start takes another.',
  },
];
