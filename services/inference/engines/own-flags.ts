import type { OwnFlags } from './entry-fields.ts';

/** Of `vllm serve`. */
export const VLLM_FLAGS: OwnFlags = {
  set: [
    '--uds',
    '--host',
    '--port',
    '--api-key',
    '--served-model-name',
    '--ssl-keyfile',
    '--ssl-certfile',
    '--root-path',
    '--grpc',
    '--headless',
    '--config',
  ],
  booked: {
    '--tensor-parallel-size': 'tensor_parallel_size',
    '-tp': 'tensor_parallel_size',
    '--pipeline-parallel-size': 'pipeline_parallel_size',
    '-pp': 'pipeline_parallel_size',
    '--gpu-memory-utilization': 'gpu_memory_utilization',
    '--kv-cache-memory-bytes': 'gpu_memory_utilization',
    '--distributed-executor-backend': 'ray_address',
  },
};

/** Of `text-generation-launcher`. */
export const TGI_FLAGS: OwnFlags = {
  set: [
    '--model-id',
    '--hostname',
    '--port',
    '-p',
    '--api-key',
    '--prometheus-port',
    '--shard-uds-path',
    '--master-port',
    '--master-addr',
  ],
  booked: {
    '--num-shard': 'tensor_parallel_size',
    '--sharded': 'tensor_parallel_size',
    '--cuda-memory-fraction': 'gpu_memory_utilization',
  },
};

/** Of `llama-server`. */
export const LLAMA_SERVER_FLAGS: OwnFlags = {
  set: [
    '-m',
    '--model',
    '--host',
    '--port',
    '--api-key',
    '--api-key-file',
    '--alias',
    '-a',
    '--api-prefix',
    '--ssl-key-file',
    '--ssl-cert-file',
  ],
  booked: {
    '-ngl': 'gpu_layers',
    '--gpu-layers': 'gpu_layers',
    '--n-gpu-layers': 'gpu_layers',
    '--device': 'devices',
    '-dev': 'devices',
  },
};

/** Of `transformers serve`. */
export const TRANSFORMERS_FLAGS: OwnFlags = { set: ['--host', '--port'], booked: { '--device': 'devices' } };
