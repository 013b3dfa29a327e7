// The flags, log lines and failures of llama-server, in its own words.
import { type Arguments, type Flag, flag, type Tool, toggle } from '../kit/arguments.ts';
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
    integer('-lv', '--verbosity', '--log-verbosity'),
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

/** From this level on it tells what the libraries below it say. */
const TRACE = 4;
const INFO = 3;

/** A line, and the level from which on it is written. */
type LeveledLine = readonly [level: number, line: string];

/** What it logs while it loads, at a verbosity; `verbosity` 3 is its own default. */
export function llamaServerLines(start: LlamaServerStart, verbosity: number): string[] {
  return leveled(startLines(start), verbosity);
}

function startLines({ model, devices, layers, slots, context }: LlamaServerStart): LeveledLine[] {
  return [
    [INFO, 'srv  llama_server: initializing ...'],
    [TRACE, 'cmn  common_param: common_params_print_info: build 11434 (sdist) with GNU 12.2.0 for Linux x86_64'],
    [INFO, 'cmn  common_param: common_params_print_info: verbosity = 3 (adjust with the `-lv N` CLI arg)'],
    [INFO, `srv    load_model: loading model '${model}'`],
    [TRACE, 'cmn  common_init_: fitting params to device memory ...'],
    ...devices.map(
      (device): LeveledLine => [
        TRACE,
        `llama_prepare_model_devices: using device ${device} (NVIDIA) (0000:01:00.0) - 23500 MiB free`,
      ],
    ),
    [
      TRACE,
      `llama_model_loader: loaded meta data with 34 key-value pairs and 291 tensors from ${model} (version GGUF V3 (latest))`,
    ],
    [TRACE, 'print_info: file format = GGUF V3 (latest)'],
    [TRACE, 'load_tensors: loading model tensors, this can take a while... (load_mode = mmap)'],
    [TRACE, `load_tensors: offloaded ${Math.min(layers, MODEL_LAYERS)}/${MODEL_LAYERS} layers to GPU`],
    ...devices.map((device): LeveledLine => [TRACE, `load_tensors:        ${device} model buffer size =  4095.05 MiB`]),
    [TRACE, 'llama_context: constructing llama_context'],
    ...devices.map((device): LeveledLine => [TRACE, `llama_kv_cache:      ${device} KV buffer size =   512.00 MiB`]),
    [INFO, 'cmn          init: llama threadpool init, n_threads = 2'],
    [TRACE, 'cmn  common_init_: warming up the model with an empty run - please wait ... (--no-warmup to disable)'],
    [INFO, `srv    load_model: initializing, n_slots = ${slots}, n_ctx_slot = ${context}, kv_unified = 'true'`],
    [TRACE, `slot   load_model: id  0 | task -1 | new slot, n_ctx = ${context}`],
  ];
}

/** What it logs when it answers. */
export function llamaServerReadyLines(host: string, verbosity: number): string[] {
  const lines: LeveledLine[] = [
    [INFO, 'srv  llama_server: model loaded'],
    [INFO, `srv  llama_server: listening on unix://${host}`],
    [TRACE, 'srv  update_slots: all slots are idle'],
  ];
  return leveled(lines, verbosity);
}

function leveled(lines: readonly LeveledLine[], verbosity: number): string[] {
  return lines.filter(([level]) => level <= verbosity).map(([, line]) => `0.00.020.631 I ${line}`);
}

/** Why it ends before it loads anything, in its words. Undefined: it goes on. */
export function llamaServerRefusal(given: Arguments, visibleDevices: number): string | undefined {
  const missing = devicesOf(given).find((device) => Number(device.replace('CUDA', '')) >= visibleDevices);
  if (missing !== undefined) return `error while handling argument "--device": invalid device: ${missing}`;
  const template = given.value('--chat-template') ?? '';
  if (!template.includes('{%') || template.includes('%}')) return undefined;
  return `0.00.002.491 error: the supplied chat template is not supported: ${template}`;
}

/** The CUDA devices that it was told. */
export function devicesOf(given: Arguments): string[] {
  return (given.value('--device') ?? '').split(',').filter((device) => device.startsWith('CUDA'));
}

const EXITS = [
  "0.00.010.099 E srv    load_model: failed to load model, '/models/model.gguf'",
  '0.00.013.007 E srv  llama_server: exiting due to model loading error',
];

/** What it prints when an adapter's file is not there. */
export function missingAdapterLines(path: string): string[] {
  return [
    `0.00.020.552 E llama_adapter_lora_init: failed to open '${path}': No such file or directory`,
    `0.00.020.634 E cmn  common_init_: failed to load lora adapter '${path}'`,
    "0.00.020.660 E cmn  common_init_: failed to create context with model '/models/model.gguf'",
    "0.00.020.687 E srv    load_model: failed to create_context with model '/models/model.gguf'",
    ...EXITS.slice(1),
  ];
}

/** What it prints when a start fails, and how it ends. */
export function llamaServerFailures(): Record<FailedStart, FailedStartText> {
  const load = (...lines: string[]): FailedStartText => ({
    exitCode: 1,
    lines: [
      ...lines,
      '0.00.010.066 E llama_model_load_from_file_impl: failed to load model',
      "0.00.010.082 E cmn  common_init_: failed to load model '/models/model.gguf'",
      ...EXITS,
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
