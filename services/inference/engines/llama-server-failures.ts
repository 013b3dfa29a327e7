import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { FailureSignature } from './engine.ts';

/** What its lines mean that tell why a start or the engine failed, the most telling first. */
export const LLAMA_SERVER_FAILURES: readonly FailureSignature[] = [
  {
    pattern: /invalid device:|error: no devices? found/,
    cause: FailureCause.BAD_FLAG,
    hint: 'llama-server does not see the device: it is built without CUDA, or the driver does not run.',
  },
  {
    pattern: /error: invalid argument:|error while handling argument/,
    cause: FailureCause.BAD_FLAG,
    hint: 'llama-server does not know an argument, or not its value. Correct extra_args.',
  },
  {
    pattern: /the supplied chat template is not supported/,
    cause: FailureCause.BAD_FLAG,
    hint: 'The chat template cannot be read. Correct --chat-template or the file that extra_args name.',
  },
  {
    // It says next that it failed to create the context. What it cannot find memory for is told elsewhere.
    pattern: /llama_adapter_lora_init: failed to (?:open|apply)(?!.*failed to allocate)|Does this file exist\?/,
    cause: FailureCause.BAD_FLAG,
    hint: 'An adapter or projector that extra_args name cannot be read, or belongs to another model. Correct its path.',
  },
  {
    pattern: /failed to initialize the context: (?!.*(?:allocate|reserve|memory))/,
    cause: FailureCause.BAD_FLAG,
    hint: 'The settings do not go together, or not with the model; the line says why. Correct max_model_len, max_concurrency or extra_args.',
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
    pattern:
      /failed to open GGUF file|gguf_init_from_\w+: (?:failed to open|invalid magic)|llama_model_loader: failed to load model from/,
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
  {
    pattern: /what\(\): +Resource temporarily unavailable/,
    cause: FailureCause.EXITED_UNASKED,
    hint: 'It may start no more threads. Lower max_concurrency or -t, or raise the limit of tasks of this service or container.',
  },
  {
    pattern: /GGML_ASSERT\(/,
    cause: FailureCause.EXITED_UNASKED,
    hint: 'A check in it failed: a defect of its version, or settings that it cannot combine. Where it pools vectors, max_concurrency must divide -ub (512).',
  },
  {
    pattern: /terminate called after throwing/,
    cause: FailureCause.EXITED_UNASKED,
    hint: 'It met an error that it does not handle; the line behind says which.',
  },
];
