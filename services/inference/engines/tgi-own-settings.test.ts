import { expect, test } from 'vitest';
import { entryProblems } from '../../../test/engines/entry-problems.ts';

const entry = { name: 'a', engine: 'tgi', model: 'm' };
const problemsOf = (...args: string[]): string[] => entryProblems({ ...entry, extra_args: args });

const SET = 'is set by the mesh; remove it';

test.each([
  [['--num-shard', '2'], '--num-shard is set by the mesh; use tensor_parallel_size'],
  [['--num-shard=2'], '--num-shard is set by the mesh; use tensor_parallel_size'],
  [['--sharded', 'true'], '--sharded is set by the mesh; use tensor_parallel_size'],
  [['--cuda-memory-fraction', '1'], '--cuda-memory-fraction is set by the mesh; use gpu_memory_utilization'],
  [['--max-total-tokens', '9'], '--max-total-tokens is set by the mesh; use max_model_len'],
  [['--max-concurrent-requests=9'], '--max-concurrent-requests is set by the mesh; use max_concurrency'],
  [['--dtype', 'float16'], '--dtype is set by the mesh; use dtype'],
  [['--quantize', 'awq'], '--quantize is set by the mesh; use quantization'],
  [['--model-id', 'other'], '--model-id is set by the mesh; use model'],
  [['--port', '80'], `--port ${SET}`],
  [['-p', '80'], `-p ${SET}`],
  [['-p3000'], `-p ${SET}`],
  [['-p=3000'], `-p ${SET}`],
  [['-ep3000'], `-p ${SET}`],
  [['-g9'], `-g ${SET}`],
  [['--hostname', '0.0.0.0'], `--hostname ${SET}`],
  [['--shard-uds-path=/x'], `--shard-uds-path ${SET}`],
  [['--master-addr', 'x'], `--master-addr ${SET}`],
  [['--usage-stats', 'on'], `--usage-stats ${SET}`],
  [['--ngrok'], '--ngrok is not supported: it would open the engine to the internet'],
  [['--ngrok-authtoken=hunter2'], '--ngrok-authtoken is not supported: it would open the engine to the internet'],
  [['--api-key=hunter2'], `--api-key ${SET}`],
  [['--api-key hunter2'], `--api-key ${SET}`],
])('%j is refused', (args, problem) => {
  expect(problemsOf('--speculate', '2', ...args)).toEqual([`extra_args.2: ${problem}`]);
});

test.each([
  ['API_KEY', SET],
  ['PORT', SET],
  ['HOSTNAME', SET],
  ['PROMETHEUS_PORT', SET],
  ['MASTER_ADDR', SET],
  ['MASTER_PORT', SET],
  ['SHARD_UDS_PATH', SET],
  ['USAGE_STATS', SET],
  ['MODEL_ID', 'is set by the mesh; use model'],
  ['NUM_SHARD', 'is set by the mesh; use tensor_parallel_size'],
  ['SHARDED', 'is set by the mesh; use tensor_parallel_size'],
  ['CUDA_MEMORY_FRACTION', 'is set by the mesh; use gpu_memory_utilization'],
  ['MAX_TOTAL_TOKENS', 'is set by the mesh; use max_model_len'],
  ['MAX_CONCURRENT_REQUESTS', 'is set by the mesh; use max_concurrency'],
  ['DTYPE', 'is set by the mesh; use dtype'],
  ['QUANTIZE', 'is set by the mesh; use quantization'],
  ['NGROK_AUTHTOKEN', 'is not supported: it would open the engine to the internet'],
  ['CUDA_VISIBLE_DEVICES', 'is set by the mesh; use devices'],
])('the variable %s is refused', (name, problem) => {
  expect(entryProblems({ ...entry, env: { HF_HOME: '/m', [name]: '1' } })).toEqual([`env.${name}: ${name} ${problem}`]);
});

test("TGI's other flags and variables are taken; it knows neither abbreviations nor underscores", () => {
  const flags = [
    ...['--revision', 'main', '--validation-workers', '2', '--speculate', '--kv-cache-dtype', '--trust-remote-code'],
    ...['--max-input-tokens', '--max-input-length', '--max-batch-prefill-tokens', '--max-batch-total-tokens', '9'],
    ...['--max-batch-size', '--max-best-of', '--waiting-served-ratio', '--cuda-graphs', '1,2', '--rope-scaling', '-e'],
    ...['--json-output', '--otlp-endpoint', '--cors-allow-origin', '--tokenizer-config-path', '--lora-adapters', '-h'],
    ...['--payload-limit', '--enable-prefill-logprobs', '--max-client-batch-size', '--huggingface-hub-cache', '--por'],
  ];
  expect(problemsOf(...flags)).toEqual([]);
  const env = { ATTENTION: 'paged', PREFIX_CACHING: '0', TGI_WIGGLE_ROOM: '0.9', HF_TOKEN: 'x', REVISION: 'main' };
  expect(entryProblems({ ...entry, env })).toEqual([]);
});
