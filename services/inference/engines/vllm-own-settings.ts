import { notSupported, type OwnSetting, secretFlag, setByMesh, useField } from './own-settings.ts';

/** Of `vllm serve`. */
export const VLLM_OWN_SETTINGS: readonly OwnSetting[] = [
  setByMesh('--uds', '--host', '--port', '--root-path', '--ssl-*', '--enable-ssl-refresh', '--grpc', '--headless'),
  setByMesh('--api-key', 'VLLM_API_KEY', '--served-model-name', '--config'),
  setByMesh('--enable-request-id-headers', '--enable-log-requests', '--disable-uvicorn-access-log'),
  useField('model', '--model'),
  useField('max_model_len', '--max-model-len'),
  useField('max_concurrency', '--max-num-seqs'),
  useField('dtype', '--dtype'),
  useField('quantization', '--quantization', '-q'),
  useField('task', '--runner', '--task'),
  useField('tool_call_parser', '--tool-call-parser', '--enable-auto-tool-choice'),
  useField('reasoning_parser', '--reasoning-parser'),
  // The routes of this mode obey everybody who reaches the socket.
  useField('sleep_mode', '--enable-sleep-mode', 'VLLM_SERVER_DEV_MODE'),
  useField('devices', '--device', '--device-ids'),
  useField('tensor_parallel_size', '--tensor-parallel-size', '-tp'),
  useField('pipeline_parallel_size', '--pipeline-parallel-size', '-pp'),
  // The last two are taken instead of the share, however much is free.
  useField(
    'gpu_memory_utilization',
    '--gpu-memory-utilization',
    '--kv-cache-memory-bytes',
    '--num-gpu-blocks-override',
  ),
  useField('ray_address', '--distributed-executor-backend', '--worker-use-ray', 'RAY_ADDRESS'),
  notSupported('devices are booked for one replica; write an entry for each', '--data-parallel-*', '-dp*', 'VLLM_DP_*'),
  notSupported('no devices are booked for it; use tensor_parallel_size', '--prefill-context-parallel-size', '-pcp'),
  notSupported(
    'a model that spans hosts runs on Ray; use ray_address',
    ...['--nnodes', '-n', '--node-rank', '-r', '--master-addr', '--master-port'],
  ),
  notSupported('engines that start at a time would take the same ports; remove it', 'VLLM_PORT'),
  secretFlag('HF_TOKEN', '--hf-token'),
];
