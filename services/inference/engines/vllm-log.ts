import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { EngineProgress, FailureSignature } from './engine.ts';

/** Stages by what a line says, the later ones first: a line of progress bars can hold several. */
const STAGES: readonly (readonly [RegExp, string])[] = [
  [/Application startup complete/, 'ready'],
  [/Capturing CUDA graph/, 'capturing CUDA graphs'],
  [/Available KV cache memory|GPU KV cache size|Maximum concurrency for/, 'sizing the KV cache'],
  [/torch\.compile|Dynamo bytecode transform|Compiling a graph|Start compiling function/, 'compiling'],
  [/Model loading took/, 'weights are loaded'],
  [/Starting to load model|Loading \S+ checkpoint shards|Loading weights took/, 'loading weights'],
  [/\.(?:safetensors|bin):\s+\d+%/, 'downloading weights'],
  [
    /Initializing a V1 LLM engine|Waiting for \d+ local.* core|Initializing distributed environment/,
    'starting the engine',
  ],
  [/Resolved architecture|vLLM API server version/, 'reading the model'],
];

/** How far a start is, by a line of `vllm serve`. */
export function readVllmProgress(line: string): EngineProgress | undefined {
  const stage = STAGES.find(([pattern]) => pattern.test(line))?.[1];
  if (stage === undefined) return undefined;
  const contextTokens = /Maximum concurrency for ([\d,]+) tokens per request/.exec(line)?.[1];
  return {
    stage,
    ...percentIn(line),
    ...(contextTokens === undefined ? {} : { contextTokens: Number(contextTokens.replaceAll(',', '')) }),
  };
}

/** The last percentage of a progress bar, e.g. "67% Completed | 2/3" or "45%|████▌ | 30/67". */
function percentIn(line: string): { percent: number } | undefined {
  const last = [...line.matchAll(/(\d{1,3})%(?: Completed)?\s*\|/g)].at(-1)?.[1];
  return last === undefined || Number(last) > 100 ? undefined : { percent: Number(last) };
}

/**
 * What lines of `vllm serve` mean that tell why it failed, the most telling first. Its last line never tells: the root
 * cause is printed by a child process long before.
 */
export const VLLM_FAILURES: readonly FailureSignature[] = [
  {
    pattern: /^vllm(?: serve)?: error: /,
    cause: FailureCause.BAD_FLAG,
    hint: 'This version of vLLM refuses an argument; its line says which. Correct the entry or its extra_args.',
  },
  {
    // Shown further down as "Model architectures failed to be inspected".
    pattern: /invalid literal for int\(\) with base 10: '(?:MIG|GPU)-/,
    cause: FailureCause.BAD_FLAG,
    hint: 'vLLM cannot be given a device by its UUID. Name devices by their index.',
  },
  {
    pattern: /Free memory on device .*is less than desired GPU memory utilization/,
    cause: FailureCause.DEVICE_BUSY,
    hint: 'Others use memory of the device that vLLM was to claim. End them, lower gpu_memory_utilization or name other devices.',
  },
  {
    pattern: /No available memory for the cache blocks/,
    cause: FailureCause.OUT_OF_MEMORY_KV_CACHE,
    hint: 'The weights fit and leave no memory for the KV cache. Raise gpu_memory_utilization or tensor_parallel_size, or set quantization.',
  },
  {
    pattern:
      /KV cache is needed, which is larger than the available KV cache memory|max seq len \(\d+\) is larger than the maximum number of tokens that can be stored in KV cache/,
    cause: FailureCause.OUT_OF_MEMORY_KV_CACHE,
    hint: 'The context does not fit the KV cache. Lower max_model_len, or raise gpu_memory_utilization or tensor_parallel_size.',
  },
  {
    pattern: /CUDA out of memory occurred when warming up sampler|out of memory.*(?:capturing|CUDA graph)/i,
    cause: FailureCause.OUT_OF_MEMORY_KV_CACHE,
    hint: 'The weights fit, the largest batch does not. Lower max_concurrency or gpu_memory_utilization.',
  },
  {
    pattern:
      /Model architectures \[.*are not supported|does not recognize this architecture|model type `.*` but Transformers/,
    cause: FailureCause.UNSUPPORTED_MODEL,
    hint: 'This version of vLLM does not know the model. Install a newer one or use another engine.',
  },
  {
    pattern:
      /RepositoryNotFoundError|GatedRepoError|RevisionNotFoundError|is not a local folder and is not a valid model identifier/,
    cause: FailureCause.UNSUPPORTED_MODEL,
    hint: 'The model was not found. Correct its path or name; a gated one needs HF_TOKEN in env.',
  },
  {
    pattern:
      /attention heads \(\d+\) must be divisible by tensor parallel size|quantization method .*(?:does not match|is not supported|not supported)|Unknown quantization method/i,
    cause: FailureCause.BAD_FLAG,
    hint: 'The model cannot be split or quantized as configured. Correct tensor_parallel_size or quantization.',
  },
  {
    pattern: /Could not find any running Ray instance|Failed to connect to (?:the )?(?:GCS|Ray)|ray.*ConnectionError/i,
    cause: FailureCause.UNREACHABLE,
    hint: 'The Ray cluster does not answer. Correct ray_address or start the cluster.',
  },
  {
    pattern:
      /Cannot provide a placement group|does not allocate any GPUs on the driver node|No available node types can fulfill/,
    cause: FailureCause.DEVICE_BUSY,
    hint: 'The Ray cluster has no room for the model. Free its devices or lower tensor_parallel_size.',
  },
  {
    pattern: /NCCL error|ncclSystemError|ncclInternalError|ncclUnhandledCudaError|ncclRemoteError|DistBackendError/,
    cause: FailureCause.NCCL,
    hint: 'The devices could not talk to each other. Try env NCCL_P2P_DISABLE=1 or NCCL_DEBUG=INFO, or fewer devices.',
  },
  {
    pattern: /CUDA out of memory|torch\.(?:cuda\.)?OutOfMemoryError|CUDA (?:driver )?error: out of memory/,
    cause: FailureCause.OUT_OF_MEMORY_WEIGHTS,
    hint: 'The weights do not fit. Raise tensor_parallel_size, set quantization, or use a smaller model.',
  },
  {
    pattern: /Failed to infer device type|No CUDA GPUs are available|no NVIDIA driver/i,
    cause: FailureCause.EXECUTABLE_MISSING,
    hint: 'vLLM sees no device that it was built for. Check the driver, or install a build for the CPU.',
  },
  {
    // Its server then ends with code 0 as if it had been asked to.
    pattern: /EngineDeadError|Worker proc \S+ died unexpectedly/,
    cause: FailureCause.EXITED_UNASKED,
    hint: "vLLM's engine died and its server ended after it. The lines above the first error say why.",
  },
];
