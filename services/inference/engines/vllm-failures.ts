import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { FailureSignature } from './engine.ts';

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
    pattern: /Sleep mode is not supported/,
    cause: FailureCause.BAD_FLAG,
    hint: 'This build of vLLM has no sleep mode. Leave sleep_mode out.',
  },
  {
    pattern: /User-specified max_model_len \(\d+\) is greater than the derived max_model_len/,
    cause: FailureCause.BAD_FLAG,
    hint: 'The model has no context that long. Lower max_model_len to what its config.json says, or leave it out.',
  },
  {
    pattern: /invalid (?:tool call|reasoning) parser: /,
    cause: FailureCause.BAD_FLAG,
    hint: 'This version of vLLM has no such parser; its line names all. Correct tool_call_parser or reasoning_parser.',
  },
  {
    pattern: /Load format `.*` is not supported/,
    cause: FailureCause.BAD_FLAG,
    hint: 'This version of vLLM reads no files of that form. Correct --load-format in extra_args.',
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
      /RepositoryNotFoundError|GatedRepoError|RevisionNotFoundError|is not a local folder and is not a valid model identifier|Repo id must be in the form/,
    cause: FailureCause.UNSUPPORTED_MODEL,
    hint: 'The model was not found. Correct its path or name; a gated one needs HF_TOKEN in env.',
  },
  {
    pattern: /We couldn't connect to '[^']*' to load the files/,
    cause: FailureCause.UNSUPPORTED_MODEL,
    hint: 'The model is not in the cache of this host and the model hub cannot be reached. Check the network and HF_ENDPOINT, or name a directory.',
  },
  {
    pattern:
      /attention heads \(\d+\) must be divisible by tensor parallel size|quantization method .*(?:does not match|is not supported|not supported)|Unknown quantization method|Cannot find the config file for \w/i,
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
