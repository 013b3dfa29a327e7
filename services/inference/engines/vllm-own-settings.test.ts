import { expect, test } from 'vitest';
import { entryProblems } from '../../../test/engines/entry-problems.ts';

const entry = { name: 'a', engine: 'vllm', model: 'm' };
const problemsOf = (...args: string[]): string[] => entryProblems({ ...entry, extra_args: args });

test.each([
  [['--tensor-parallel-size', '2'], '--tensor-parallel-size is set by the mesh; use tensor_parallel_size'],
  [['--tensor_parallel_size=2'], '--tensor-parallel-size is set by the mesh; use tensor_parallel_size'],
  [['--tensor-para', '2'], '--tensor-parallel-size is set by the mesh; use tensor_parallel_size'],
  [['-tp', '4'], '-tp is set by the mesh; use tensor_parallel_size'],
  [['-tp4'], '-tp is set by the mesh; use tensor_parallel_size'],
  [['-tp=4'], '-tp is set by the mesh; use tensor_parallel_size'],
  [['-t', '4'], '-tp is set by the mesh; use tensor_parallel_size'],
  [['-pp', '2'], '-pp is set by the mesh; use pipeline_parallel_size'],
  [['--pipeline_parallel_size', '2'], '--pipeline-parallel-size is set by the mesh; use pipeline_parallel_size'],
  [['--gpu_memory_utilization=0.99'], '--gpu-memory-utilization is set by the mesh; use gpu_memory_utilization'],
  [['--gpu-mem', '1'], '--gpu-memory-utilization is set by the mesh; use gpu_memory_utilization'],
  [['--kv-cache-memory-bytes', '8G'], '--kv-cache-memory-bytes is set by the mesh; use gpu_memory_utilization'],
  [['--num-gpu-blocks-override', '9'], '--num-gpu-blocks-override is set by the mesh; use gpu_memory_utilization'],
  [['--max-model-len', '9'], '--max-model-len is set by the mesh; use max_model_len'],
  [['--max_num_seqs=9'], '--max-num-seqs is set by the mesh; use max_concurrency'],
  [['--dtype', 'half'], '--dtype is set by the mesh; use dtype'],
  [['-q', 'awq'], '-q is set by the mesh; use quantization'],
  [['-qawq'], '-q is set by the mesh; use quantization'],
  [['--runner', 'pooling'], '--runner is set by the mesh; use task'],
  [['--enable-auto-tool-choice'], '--enable-auto-tool-choice is set by the mesh; use tool_call_parser'],
  [['--reasoning-parser', 'x'], '--reasoning-parser is set by the mesh; use reasoning_parser'],
  [['--enable-sleep-mode'], '--enable-sleep-mode is set by the mesh; use sleep_mode'],
  [['--device', 'cpu'], '--device is set by the mesh; use devices'],
  [['--model', 'other'], '--model is set by the mesh; use model'],
  [['--distributed-executor-backend', 'mp'], '--distributed-executor-backend is set by the mesh; use ray_address'],
  [['--uds=/x'], '--uds is set by the mesh; remove it'],
  [['--host', '0.0.0.0'], '--host is set by the mesh; remove it'],
  [['--served_model_name', 'x'], '--served-model-name is set by the mesh; remove it'],
  [['--config', 'x.yaml'], '--config is set by the mesh; remove it'],
  [['--conf=x.yaml'], '--config is set by the mesh; remove it'],
  [['--enable-log-requests'], '--enable-log-requests is set by the mesh; remove it'],
  [['--no-disable-uvicorn-access-log'], '--disable-uvicorn-access-log is set by the mesh; remove it'],
  [['--ssl-keyfile-password', 'x'], '--ssl-* is set by the mesh; remove it'],
])('%j is refused', (args, problem) => {
  expect(problemsOf('--seed', '1', ...args)).toEqual([`extra_args.2: ${problem}`]);
});

test.each([
  ['--data-parallel-size', '--data-parallel-*'],
  ['--data_parallel_size=2', '--data-parallel-*'],
  ['--data-par=2', '--data-parallel-*'],
  ['--data-parallel-size-local', '--data-parallel-*'],
  ['-dp', '-dp*'],
  ['-dp2', '-dp*'],
  ['-dpl=2', '-dp*'],
])('replicas, by %s, are not supported: devices are booked for one', (argument, named) => {
  const why = 'is not supported: devices are booked for one replica; write an entry for each';
  expect(problemsOf(argument)).toEqual([`extra_args.0: ${named} ${why}`]);
});

test.each(['--nnodes', '-n2', '--node_rank', '-r', '--master-addr', '--master-port=1'])(
  'a part of several hosts, by %s, is not supported',
  (argument) => {
    expect(problemsOf(argument)).toEqual([
      expect.stringMatching(/^extra_args\.0: -\S+ is not supported: .*ray_address/),
    ]);
  },
);

test.each(['--api-key', '--api_key', '--api-k', '--api-key=hunter2', '--api_key hunter2'])(
  'a key in %s is refused and not repeated',
  (argument) => {
    expect(problemsOf(argument, 'hunter2')).toEqual(['extra_args.0: --api-key is set by the mesh; remove it']);
  },
);

test.each(['--hf-token', '--hf_token', '--hf-tok', '--hf-token=hunter2', '--hf_token hunter2'])(
  'a token in %s is refused and not repeated',
  (argument) => {
    const why = 'carries a secret, and every user of this host can read arguments; use env: HF_TOKEN';
    expect(problemsOf(argument, 'hunter2')).toEqual([`extra_args.0: --hf-token ${why}`]);
  },
);

test.each([
  ['VLLM_API_KEY', 'is set by the mesh; remove it'],
  ['RAY_ADDRESS', 'is set by the mesh; use ray_address'],
  ['VLLM_DP_SIZE', 'is not supported: devices are booked for one replica; write an entry for each'],
  ['VLLM_DP_MASTER_PORT', 'is not supported: devices are booked for one replica; write an entry for each'],
  ['VLLM_PORT', 'is not supported: engines that start at a time would take the same ports; remove it'],
])('the variable %s is refused', (name, problem) => {
  expect(entryProblems({ ...entry, env: { HF_HOME: '/m', [name]: '1' } })).toEqual([`env.${name}: ${name} ${problem}`]);
});

test("vLLM's other flags and variables are taken, also those that begin like a refused one or have a dash in a value", () => {
  const flags = [
    ...['--enforce-eager', '--trust-remote-code', '--tokenizer', '--tokenizer-mode', '--revision', '--hf-overrides'],
    ...[
      '--hf-config-path',
      '--config-format',
      '--load-format',
      '--download-dir',
      '--model-impl',
      '--generation-config',
    ],
    ...['--model-loader-extra-config', '--max-num-batched-tokens', '--max-logprobs', '--max-seq-len-to-capture'],
    ...['--max-parallel-loading-workers', '--enable-expert-parallel', '-ep', '--decode-context-parallel-size', '-dcp'],
    ...['--api-server-count', '-asc', '--disable-log-stats', '--disable-custom-all-reduce', '--disable-fastapi-docs'],
    ...['--disable-access-log-for-endpoints', '--uvicorn-log-level', '--reasoning-parser-plugin', '--kv-cache-dtype'],
    ...[
      '--tool-parser-plugin',
      '--tool-server',
      '--enable-prefix-caching',
      '--no-enable-prefix-caching',
      '--block-size',
    ],
    ...['--enable-chunked-prefill', '--enable-lora', '--lora-modules', '--max-lora-rank'],
    ...['--enable-prompt-tokens-details', '--enable-server-load-tracking', '--enable-force-include-usage', '-O3', '-O'],
    ...['--compilation-config', '-cc', '--speculative-config', '-sc', '--kv-transfer-config.kv_role', '--swap-space'],
    ...['--cpu-offload-gb', '--calculate-kv-scales', '--limit-mm-per-prompt', '--mm-processor-kwargs', '--seed', '-1'],
    ...[
      '--stream-interval',
      '--scheduling-policy',
      '--shutdown-timeout',
      '--chat-template',
      '--response-role',
      '--help',
    ],
    ...['--override-generation-config', '{"--port": 1}', '--additional-config={"device": 1}', '--convert', 'embed'],
    ...['--tokens-only', '--otlp-traces-endpoint', '--show-hidden-metrics-for-version', '--guided-decoding-backend'],
    ...['--enable-log-outputs', '--enable-log-deltas', '--max-log-len', '--skip-tokenizer-init', '--middleware'],
  ];
  expect(problemsOf(...flags)).toEqual([]);
  const env = { VLLM_HOST_IP: '10.0.0.2', VLLM_LOGGING_LEVEL: 'DEBUG', VLLM_CACHE_ROOT: '/c', HF_TOKEN: 'x' };
  expect(entryProblems({ ...entry, env })).toEqual([]);
});
