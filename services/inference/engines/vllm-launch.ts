import type { EngineLaunch, EnginePlace } from './engine.ts';
import { processLaunch } from './process-launch.ts';
import type { VllmEntry } from './vllm-entry.ts';
import { VLLM_FAILURES } from './vllm-failures.ts';
import { readVllmProgress } from './vllm-log.ts';

/**
 * The share of each device that vLLM claims when the entry does not say. Its own default changed between versions, so it is
 * always told.
 */
const DEFAULT_MEMORY_SHARE = 0.9;

/** Where one start listens. */
export interface VllmPlace extends EnginePlace {
  readonly socketPath: string;
  readonly apiKey: string;
}

/** The share of each device that vLLM is given, from 0 to 1. */
export function vllmMemoryShare(entry: VllmEntry): number {
  return entry.gpu_memory_utilization ?? DEFAULT_MEMORY_SHARE;
}

/** Over how many devices the model is spread: each layer over `split`, the layers over `stages` groups of those. */
export function vllmSpread(entry: VllmEntry): { readonly split: number; readonly stages: number } {
  const stages = entry.pipeline_parallel_size ?? 1;
  return { split: entry.tensor_parallel_size ?? Math.max(1, (entry.devices?.length ?? 1) / stages), stages };
}

/** The process of one start: `vllm serve` on a Unix socket. */
export function vllmLaunch(entry: VllmEntry, place: VllmPlace): EngineLaunch {
  const { apiKey, socketPath } = place;
  return processLaunch(entry, place, {
    program: entry.program ?? 'vllm',
    args: ['serve', entry.model, '--uds', socketPath, ...serverArguments(entry), ...engineArguments(entry, place)],
    defaults: {
      // Neither vLLM nor the model hub is told of what runs here.
      VLLM_NO_USAGE_STATS: '1',
      DO_NOT_TRACK: '1',
      HF_HUB_DISABLE_TELEMETRY: '1',
      // Colours would end up in the log and in the evidence.
      NO_COLOR: '1',
    },
    environment: {
      ...(entry.ray_address === undefined ? {} : { RAY_ADDRESS: entry.ray_address }),
      // Without it there are no routes to send it to sleep and to wake it.
      ...(entry.sleep_mode ? { VLLM_SERVER_DEV_MODE: '1' } : {}),
    },
    apiKey: { variable: 'VLLM_API_KEY', value: apiKey },
    readLine: readVllmProgress,
    failures: VLLM_FAILURES,
  });
}

/** What the server says and to whom: its log must hold no prompt, and no line per probe. */
function serverArguments(entry: VllmEntry): string[] {
  const args = ['--served-model-name', entry.model, '--enable-request-id-headers', '--enable-prompt-tokens-details'];
  args.push('--no-enable-log-requests', '--disable-uvicorn-access-log');
  if (entry.tool_call_parser !== undefined) {
    args.push('--enable-auto-tool-choice', '--tool-call-parser', entry.tool_call_parser);
  }
  if (entry.reasoning_parser !== undefined) args.push('--reasoning-parser', entry.reasoning_parser);
  return args;
}

function engineArguments(entry: VllmEntry, { devices }: EnginePlace): string[] {
  const args: string[] = [];
  // Without a device it is a build for the CPU, which has no memory of a device to share.
  if (devices.length > 0 || entry.ray_address !== undefined) {
    args.push('--gpu-memory-utilization', String(vllmMemoryShare(entry)));
  }
  const { split, stages } = vllmSpread(entry);
  if (split > 1) args.push('--tensor-parallel-size', String(split));
  if (stages > 1) args.push('--pipeline-parallel-size', String(stages));
  if (entry.max_model_len !== undefined) args.push('--max-model-len', String(entry.max_model_len));
  if (entry.max_concurrency !== undefined) args.push('--max-num-seqs', String(entry.max_concurrency));
  if (entry.dtype !== undefined) args.push('--dtype', entry.dtype);
  if (entry.quantization !== undefined) args.push('--quantization', entry.quantization);
  if (entry.task === 'embed') args.push('--runner', 'pooling');
  if (entry.sleep_mode) args.push('--enable-sleep-mode');
  if (entry.ray_address !== undefined) args.push('--distributed-executor-backend', 'ray');
  return args;
}
