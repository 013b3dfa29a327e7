// The flags, log lines and failures of llama-server, in its own words.
import { type Flag, flag, type Tool, toggle } from '../kit/arguments.ts';
import type { FailedStart } from '../kit/fault-script.ts';
import type { FailedStartText } from '../kit/life.ts';

const integer = (...names: string[]): Flag => ({ names, is: 'integer' });
const number = (...names: string[]): Flag => ({ names, is: 'number' });

/** Its command line: what an operator of the mesh may want of it. */
export const LLAMA_SERVER_TOOL: Tool = {
  name: 'llama-server',
  library: 'llamaCpp',
  flags: [
    flag('-m', '--model'),
    flag('--host'),
    integer('--port'),
    flag('--alias', '-a'),
    flag('--api-key'),
    flag('--api-key-file'),
    toggle('--metrics'),
    toggle('--slots'),
    toggle('--no-slots'),
    toggle('--no-webui', '--no-ui'),
    toggle('--embedding', '--embeddings'),
    toggle('--offline'),
    toggle('--jinja'),
    toggle('--no-jinja'),
    toggle('--no-warmup'),
    toggle('--kv-unified', '-kvu'),
    toggle('--cont-batching', '-cb'),
    toggle('--log-jsonl'),
    toggle('--verbose', '-v'),
    integer('-c', '--ctx-size'),
    integer('-np', '--parallel'),
    integer('-b', '--batch-size'),
    integer('-ub', '--ubatch-size'),
    integer('-t', '--threads'),
    integer('--threads-http'),
    integer('--timeout', '-to'),
    integer('--sse-ping-interval'),
    integer('--main-gpu', '-mg'),
    flag('-ngl', '--gpu-layers', '--n-gpu-layers'),
    flag('--device', '-dev'),
    { names: ['--split-mode', '-sm'], choices: ['none', 'layer', 'row', 'tensor'] },
    flag('--tensor-split', '-ts'),
    { names: ['--flash-attn', '-fa'], choices: ['on', 'off', 'auto'] },
    { names: ['--fit', '-fit'], choices: ['on', 'off'] },
    flag('--cache-type-k', '-ctk'),
    flag('--cache-type-v', '-ctv'),
    flag('--pooling'),
    flag('--mmproj', '-mm'),
    flag('--lora'),
    flag('--chat-template'),
    flag('--chat-template-file'),
    flag('--reasoning-format'),
    flag('--reasoning', '-rea'),
    number('--temp', '--temperature'),
    number('--rope-freq-base'),
  ],
};

/** What a start depends on. */
export interface LlamaServerStart {
  readonly model: string;
  readonly devices: readonly string[];
  readonly layers: number;
  readonly slots: number;
  readonly context: number;
}

const MODEL_LAYERS = 33;

/** What it logs while it loads. */
export function llamaServerLines({ model, devices, layers, slots, context }: LlamaServerStart): string[] {
  return [
    'build: 6730 (e60f01d9) with cc (Debian 12.2.0-14) 12.2.0 for x86_64-linux-gnu',
    `srv    load_model: loading model '${model}'`,
    ...devices.map((device) => `llama_model_load_from_file_impl: using device ${device} (NVIDIA) - 23500 MiB free`),
    'llama_model_loader: loaded meta data with 34 key-value pairs and 291 tensors (version GGUF V3 (latest))',
    'load_tensors: loading model tensors, this can take a while... (mmap = true)',
    `load_tensors: offloaded ${Math.min(layers, MODEL_LAYERS)}/${MODEL_LAYERS} layers to GPU`,
    ...devices.map((device) => `load_tensors:        ${device} model buffer size =  4095.05 MiB`),
    'llama_context: constructing llama_context',
    ...devices.map((device) => `llama_kv_cache:      ${device} KV buffer size =   512.00 MiB`),
    'common_init_from_params: warming up the model with an empty run - please wait ...',
    `srv    load_model: initializing slots, n_slots = ${slots}`,
    `slot   load_model: id  0 | task -1 | new slot, n_ctx = ${context}`,
  ];
}

/** What it prints when a start fails, and how it ends. */
export function llamaServerFailures(): Record<FailedStart, FailedStartText> {
  const load = (...lines: string[]): FailedStartText => ({
    exitCode: 1,
    lines: [
      ...lines,
      'llama_model_load_from_file_impl: failed to load model',
      "common_init_from_params: failed to load model '/models/model.gguf'",
      "srv    load_model: failed to load model, '/models/model.gguf'",
      'main: exiting due to model loading error',
    ],
  });
  const weights = [
    'ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4095.05 MiB on device 0: cudaMalloc failed: out of memory',
    'alloc_tensor_range: failed to allocate CUDA0 buffer of size 4293976064',
    'llama_model_load: error loading model: unable to allocate CUDA0 buffer',
  ];
  return {
    'oom-weights': load(...weights),
    'oom-kv': load(
      'ggml_backend_cuda_buffer_type_alloc_buffer: allocating 1312.00 MiB on device 0: cudaMalloc failed: out of memory',
      'alloc_tensor_range: failed to allocate CUDA0 buffer of size 1375731712',
      'llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache',
    ),
    'device-busy': load(
      'CUDA error: CUDA-capable device(s) is/are busy or unavailable',
      '  current device: 0, in function ggml_backend_cuda_device_get_memory at ggml-cuda.cu:3122',
    ),
    'bad-flag': { exitCode: 1, lines: ['error: invalid argument: --no-such-flag'] },
    'unsupported-model': load(
      "llama_model_load: error loading model: error loading model architecture: unknown model architecture: 'mamba9'",
    ),
    nccl: load('ggml_cuda_error: NCCL error: unhandled system error'),
  };
}
