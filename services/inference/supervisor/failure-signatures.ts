import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { FailureSignature } from '../engines/engine.ts';

/**
 * What libraries under every engine print when they fail, the most telling first. Tried after the engine's own
 * signatures.
 */
export const GENERAL_SIGNATURES: readonly FailureSignature[] = [
  {
    pattern: /unrecognized arguments?\b|unknown (?:argument|option|flag)\b|unexpected argument '/i,
    cause: FailureCause.BAD_FLAG,
    hint: 'This version of the engine does not know an argument. Correct extra_args or install another version.',
  },
  {
    pattern:
      /invalid choice: |invalid value '.*' for '|\berror: argument -|arguments are required: |expected one argument/i,
    cause: FailureCause.BAD_FLAG,
    hint: 'The engine refused the value of an argument. Correct the entry or its extra_args.',
  },
  {
    pattern: /address already in use|EADDRINUSE|\[Errno (?:98|48)\]|couldn't bind|failed to bind/i,
    cause: FailureCause.ORPHAN_FOUND,
    hint: 'Another process listens where the engine wants to. If it is left over from an earlier start, end it.',
  },
  {
    pattern:
      /CUDA-capable device\(s\) is\/are busy or unavailable|cudaErrorDevicesUnavailable|device busy or unavailable/i,
    cause: FailureCause.DEVICE_BUSY,
    hint: 'Another process has the device for itself. End it or name other devices.',
  },
  {
    pattern:
      /kv[ _-]?cache.*(?:out of memory|failed to allocate|not enough memory)|(?:failed to allocate|out of memory|not enough memory).*kv[ _-]?cache/i,
    cause: FailureCause.OUT_OF_MEMORY_KV_CACHE,
    hint: 'The context does not fit beside the weights. Lower max_model_len or max_concurrency, or use more devices.',
  },
  {
    pattern:
      /CUDA (?:driver )?error: out of memory|CUDA out of memory|\bOutOfMemoryError\b|cudaMalloc failed|CUDA_ERROR_OUT_OF_MEMORY/i,
    cause: FailureCause.OUT_OF_MEMORY_WEIGHTS,
    hint: 'The model does not fit the memory of the device. Use more devices, a quantized model or a smaller one.',
  },
  {
    pattern: /\bNCCL (?:error|WARN .*(?:fail|error))|nccl(?:UnhandledCuda|System|Internal|Remote)Error/i,
    cause: FailureCause.NCCL,
    hint: 'The devices cannot talk to each other. Check the driver and the links between them (nvidia-smi topo -m).',
  },
  {
    pattern: /\bMemoryError\b|std::bad_alloc|cannot allocate memory|unable to mmap|failed to allocate .*buffer/i,
    cause: FailureCause.OUT_OF_MEMORY_WEIGHTS,
    hint: "The model does not fit the machine's memory. Use a smaller or more strongly quantized one.",
  },
  {
    pattern:
      /unknown model architecture|does not recognize this architecture|architectures? .* (?:are|is) not supported/i,
    cause: FailureCause.UNSUPPORTED_MODEL,
    hint: 'This version of the engine cannot run the model. Install a newer one or choose another model.',
  },
  {
    pattern: /Repository Not Found|GatedRepoError|is not a local folder and is not a valid model identifier/i,
    cause: FailureCause.UNSUPPORTED_MODEL,
    hint: 'The model cannot be found or its terms have not been accepted. Check its name and HF_TOKEN.',
  },
];
