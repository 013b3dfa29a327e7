import { expect, test } from 'vitest';
import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { loadFailure, OLLAMA_FAILURES, readOllamaLine } from './ollama-failures.ts';

test.each([
  [
    'ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4460.45 MiB on device 0: cudaMalloc failed: out of memory',
    FailureCause.OUT_OF_MEMORY_WEIGHTS,
  ],
  [
    'llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache',
    FailureCause.OUT_OF_MEMORY_KV_CACHE,
  ],
  ['model requires more system memory (9.1 GiB) than is available (3.0 GiB)', FailureCause.OUT_OF_MEMORY_WEIGHTS],
  [
    "llama_model_load: error loading model: error loading model architecture: unknown model architecture: 'new'",
    FailureCause.UNSUPPORTED_MODEL,
  ],
  ['unable to load model: /models/blobs/sha256-ab', FailureCause.UNSUPPORTED_MODEL],
  ['Error: listen tcp 127.0.0.1:11434: bind: address already in use', FailureCause.DEVICE_BUSY],
  ['Error: unknown flag: --port', FailureCause.BAD_FLAG],
])('%s', (line, cause) => {
  expect(OLLAMA_FAILURES.find(({ pattern }) => pattern.test(line))?.cause).toBe(cause);
});

test('a load that fails says why, known or not', () => {
  expect(loadFailure('llama-server process has terminated: cudaMalloc failed: out of memory')).toMatchObject({
    failureCause: FailureCause.OUT_OF_MEMORY_WEIGHTS,
    hint: expect.stringContaining('smaller'),
  });
  expect(loadFailure('a new one')).toMatchObject({
    failureCause: FailureCause.UNSUPPORTED_MODEL,
    message: 'a new one',
    hint: expect.stringContaining('TailLogs'),
  });
});

test.each([
  [
    'time=2026-08-21T10:00:00.000Z level=INFO source=routes.go:1999 msg="Listening on 127.0.0.1:4000 (version 0.14.0)"',
    'server up',
  ],
  [
    'time=… level=INFO source=server.go:431 msg="starting runner" cmd="/usr/bin/ollama runner --ollama-engine --port 37297"',
    undefined,
  ],
  [
    'time=… level=INFO source=server.go:431 msg="starting runner" cmd="/usr/bin/ollama runner --model /models/blobs/sha256-ab --port 41553"',
    'loading weights',
  ],
  [
    'time=… level=INFO source=server.go:431 msg="starting runner" cmd="/usr/bin/ollama runner --ollama-engine --model /models/blobs/sha256-ab --port 41553"',
    'loading weights',
  ],
  ['time=… level=INFO source=server.go:1388 msg="llama runner started in 0.28 seconds"', 'loaded'],
  [
    'time=… level=INFO source=llama_server.go:433 msg="starting llama-server" cmd="/usr/lib/ollama/llama-server --port 1"',
    'loading weights',
  ],
  ['load_tensors:        CUDA0 model buffer size =  4403.50 MiB', 'loading weights'],
  ['llama_kv_cache:      CUDA0 KV buffer size =   448.00 MiB', 'allocating KV cache'],
  ['time=… level=INFO source=llama_server.go:1362 msg="llama-server started in 2.31 seconds"', 'loaded'],
  ['[GIN] 2026/08/21 - 10:00:00 | 200 |     1.2ms |       127.0.0.1 | GET      "/api/tags"', undefined],
])('%s', (line, stage) => {
  expect(readOllamaLine(line)?.stage).toBe(stage);
});
