import { expect, test } from 'vitest';
import { readVllmProgress } from './vllm-log.ts';

test.each([
  [
    '(APIServer pid=1) INFO 11-21 13:59:57 [api_utils.py:347]  ▄▄ ▄█ █     █     █ ▀▄▀ █  version 0.32.0',
    'reading the model',
  ],
  ['(APIServer pid=1) INFO 11-21 14:00:13 [model.py:733] Resolved architecture: Qwen2ForCausalLM', 'reading the model'],
  [
    '(APIServer pid=1) WARNING 11-21 14:13:46 [vllm.py:1703] Enforce eager set, disabling torch.compile, CUDAGraphs, and JIT kernel warmup. This is equivalent to setting -cc.mode=none -cc.cudagraph_mode=none',
    undefined,
  ],
  ['(Worker pid=1) INFO 11-21 14:00:34 [cpu_model_runner.py:87] Warming up model for the compilation...', 'compiling'],
  ['(Worker pid=1) INFO 05-06 20:59:59 [backends.py:1] torch.compile takes 12.0 s in total', 'compiling'],
  [
    '(Worker pid=1) INFO 11-21 14:01:13 [cpu_worker.py:260] Explicitly set (1.0/12.21) GiB for KV cache on node 0.',
    'sizing the KV cache',
  ],
  ['(APIServer pid=1) INFO 11-21 14:01:21 [entry.py:140] Starting vLLM server on unix:/tmp/vllm.sock', undefined],
])('%s', (line, stage) => {
  expect(readVllmProgress(line)?.stage).toBe(stage);
});

test('the context is told with the cache, on the CPU too', () => {
  const line =
    '(EngineCore pid=1) INFO 11-21 14:01:13 [kv_cache_utils.py:2327] CPU KV cache size: 4,194,304 tokens, Maximum concurrency for 1,024 tokens per request: 4096.00x';
  expect(readVllmProgress(line)).toMatchObject({ stage: 'sizing the KV cache', contextTokens: 1_024 });
});
