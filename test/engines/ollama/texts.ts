// What Ollama and the llama.cpp in or below it print, and how starts and loads of it fail.
import type { FailedStart } from '../kit/fault-script.ts';
import type { FailedStartText } from '../kit/life.ts';

const log = (source: string, message: string, rest = ''): string =>
  `time=2026-08-21T10:00:00.000Z level=INFO source=${source} msg="${message}"${rest}`;

/** What `ollama serve` says before it answers. */
export const START_LINES = [
  log('routes.go:1663', 'server config', ' env="map[OLLAMA_HOST:http://127.0.0.1:0]"'),
  log('images.go:473', 'total blobs: 5'),
];

/** The line with the address; only then it answers. What follows is a runner that looks for devices and loads nothing. */
export function readyLines(host: string): string[] {
  return [
    log('routes.go:1718', `Listening on ${host} (version 0.17.4)`),
    log('runner.go:67', 'discovering available GPUs...'),
    log('server.go:431', 'starting runner', ' cmd="/usr/bin/ollama runner --ollama-engine --port 37297"'),
  ];
}

/** What is different between versions. */
export interface OllamaForm {
  /** Whether /api/tags lists what a model can do; /api/show always tells. */
  readonly listsAbilities: boolean;
  /** What loading a model says. */
  readonly loadLines: readonly string[];
  /** The end of a load. */
  readonly loadedLine: string;
  /** What is answered for a load that ended with that line. */
  readonly failedLoad: (line: string) => string;
  /** What is answered for a prompt that does not fit. */
  readonly tooLong: string;
}

const llamaCppLines = [
  'load_tensors: offloaded 29/29 layers to GPU',
  'load_tensors:        CUDA0 model buffer size =  4403.50 MiB',
  'llama_kv_cache:      CUDA0 KV buffer size =   448.00 MiB',
];

/** As in 0.17: llama.cpp is inside Ollama's own program. */
const runnerInside: OllamaForm = {
  listsAbilities: false,
  loadLines: [
    log(
      'server.go:431',
      'starting runner',
      ' cmd="/usr/bin/ollama runner --model /models/blobs/sha256-ab --port 41553"',
    ),
    ...llamaCppLines,
  ],
  loadedLine: log('server.go:1388', 'llama runner started in 2.31 seconds'),
  failedLoad: (line) =>
    line.includes('error loading model architecture')
      ? 'unable to load model: /models/blobs/sha256-ab'
      : `llama runner process has terminated: ${line}`,
  tooLong: 'the input length exceeds the context length',
};

/** As in versions with a llama-server of its own below. */
const llamaServerBelow: OllamaForm = {
  listsAbilities: true,
  loadLines: [
    log('llama_server.go:433', 'starting llama-server', ' cmd="/usr/lib/ollama/llama-server --port 40001"'),
    ...llamaCppLines,
  ],
  loadedLine: log('llama_server.go:1362', 'llama-server started in 2.31 seconds'),
  failedLoad: (line) => `llama-server process has terminated: exit status 1: ${line}`,
  tooLong: 'the request exceeds the available context size, try increasing it',
};

/** In a fake: the version that it is, by $FAKE_LLAMA_SERVER. */
export function ollamaForm(): OllamaForm {
  return process.env.FAKE_LLAMA_SERVER === undefined ? runnerInside : llamaServerBelow;
}

/** When whoever asked for a load leaves. */
export const ABORTED_LINE =
  'time=2026-08-21T10:00:00.000Z level=WARN source=server.go:1372 msg="client connection closed before server finished loading, aborting load"';

const portTaken = 'Error: listen tcp 127.0.0.1:11434: bind: address already in use';

/** How a start fails: at once with the process, or when the model is loaded, which the server survives. */
export interface OllamaFailure extends FailedStartText {
  readonly at: 'start' | 'load';
}

const load = (...lines: string[]): OllamaFailure => ({ at: 'load', lines, exitCode: 1 });
const start = (line: string): OllamaFailure => ({ at: 'start', lines: [line], exitCode: 1 });

/** What is printed; the last line of a failed load is answered too. */
export const FAILURES: Readonly<Record<FailedStart, OllamaFailure>> = {
  'bad-flag': start('Error: unknown flag: --no-such-flag'),
  'device-busy': start(portTaken),
  'oom-weights': load(
    'ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4403.50 MiB on device 0: cudaMalloc failed: out of memory',
    'alloc_tensor_range: failed to allocate CUDA0 buffer of size 4617404416',
    'llama_model_load: error loading model: unable to allocate CUDA0 buffer',
  ),
  'oom-kv': load(
    'ggml_backend_cuda_buffer_type_alloc_buffer: allocating 8192.00 MiB on device 0: cudaMalloc failed: out of memory',
    'llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache',
  ),
  'unsupported-model': load(
    "llama_model_load: error loading model: error loading model architecture: unknown model architecture: 'brandnew'",
  ),
  nccl: load('ggml_cuda_init: NCCL error 2: unhandled system error'),
};
