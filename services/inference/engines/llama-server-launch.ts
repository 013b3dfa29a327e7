import type { EngineLaunch, EnginePlace, EngineProgress } from './engine.ts';
import type { LlamaServerEntry } from './llama-server-entry.ts';
import { LLAMA_SERVER_FAILURES } from './llama-server-failures.ts';
import { processLaunch } from './process-launch.ts';

/** More layers than any model has: all of them. Its own default differs between versions. */
const ALL_LAYERS = 999;

/**
 * From its line on what it does while it loads, and which devices it uses; nothing of a prompt. A variable, because older
 * versions, to which the same number as an argument means everything, prompts too, do not read it.
 */
const LOG_VERBOSITY = { LLAMA_ARG_LOG_VERBOSITY: '4' };

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
    defaults: LOG_VERBOSITY,
    apiKey: { variable: 'LLAMA_API_KEY', value: place.apiKey },
    readLine: (line) => onDevices(readLlamaServerProgress(line), line, devices.length),
    failures: LLAMA_SERVER_FAILURES,
  });
}

const READS = /load_model: loading model/;

/** What its lines say about the start. */
const STAGES: readonly (readonly [RegExp, string])[] = [
  [READS, 'reading the model file'],
  [/llama_model_loader:|print_info:/, 'reading the model file'],
  [/load_tensors:/, 'loading weights'],
  [/llama_context:|llama_kv_cache|KV buffer size/, 'making the cache'],
  [/warming up the model/, 'warming up'],
  [/initializing(?: slots)?, n_slots|new slot/, 'making slots'],
  [/(?:main|llama_server): model loaded|(?:server is |llama_server: )listening/, 'loaded'],
];

/** How far a start is, by a line of its log. */
export function readLlamaServerProgress(line: string): EngineProgress | undefined {
  const stage = STAGES.find(([pattern]) => pattern.test(line))?.[1];
  const deviceKind = deviceOf(line);
  if (stage === undefined && deviceKind === undefined) return undefined;
  const slots = /n_slots = (\d+)/.exec(line)?.[1];
  const context = /(?:new slot,? n_ctx(?:_slot)?|n_ctx_slot) = (\d+)/.exec(line)?.[1];
  return {
    stage: stage ?? 'looking for devices',
    ...(deviceKind === undefined ? {} : { deviceKind }),
    ...(slots === undefined ? {} : { maxConcurrency: Number(slots) }),
    ...(context === undefined ? {} : { contextTokens: Number(context) }),
  };
}

/** Once it reads the model it has found the devices that it was told; some versions do not say so. */
function onDevices(progress: EngineProgress | undefined, line: string, count: number): EngineProgress | undefined {
  return progress && count > 0 && READS.test(line) ? { ...progress, deviceKind: 'cuda' } : progress;
}

/** "using device CUDA0 (…) - 15221 MiB free", or what is left of the layers for a device. */
function deviceOf(line: string): string | undefined {
  if (/offloaded 0\/\d+ layers/.test(line)) return 'cpu';
  const device = /using device (CUDA|Metal|MTL|Vulkan|ROCm)\d*/i.exec(line)?.[1];
  if (device === undefined) return undefined;
  return /^(?:metal|mtl)$/i.test(device) ? 'metal' : device.toLowerCase();
}
