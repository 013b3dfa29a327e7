// What Ollama and the llama-server below it print, and how starts and loads of it fail.
import type { FailedStart } from '../kit/fault-script.ts';
import type { FailedStartText } from '../kit/life.ts';

const log = (source: string, message: string, rest = ''): string =>
  `time=2026-08-21T10:00:00.000Z level=INFO source=${source} msg="${message}"${rest}`;

/** What `ollama serve` says before it answers. */
export const START_LINES = [
  log('routes.go:1937', 'server config', ' env="map[OLLAMA_HOST:http://127.0.0.1:0]"'),
  log('images.go:522', 'total blobs: 5'),
];

/** The line with the address; only then it answers. */
export function listeningLine(host: string): string {
  return log('routes.go:1990', `Listening on ${host} (version 0.14.0)`);
}

/** What loading a model says. */
export const LOAD_LINES = [
  log('llama_server.go:433', 'starting llama-server', ' cmd="/usr/lib/ollama/llama-server --port 40001"'),
  'load_tensors: offloaded 29/29 layers to GPU',
  'load_tensors:        CUDA0 model buffer size =  4403.50 MiB',
  'llama_kv_cache:      CUDA0 KV buffer size =   448.00 MiB',
];

/** The end of a load. */
export const LOADED_LINE = log('llama_server.go:1362', 'llama-server started in 2.31 seconds');

/** When whoever asked for a load leaves. */
export const ABORTED_LINE =
  'time=2026-08-21T10:00:00.000Z level=WARN source=llama_server.go:1301 msg="client connection closed before llama-server finished loading, aborting load"';

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
