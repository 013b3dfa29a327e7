import { notSupported, type OwnSetting, setByMesh, useField } from './own-settings.ts';

const FLAGS: readonly OwnSetting[] = [
  setByMesh('--hostname', '--port', '-p', '--prometheus-port', '--master-addr', '--master-port', '--shard-uds-path'),
  setByMesh('--api-key', '--max-stop-sequences', '--max-top-n-tokens', '--usage-stats'),
  setByMesh('--graceful-termination-timeout', '-g'),
  useField('model', '--model-id'),
  useField('max_model_len', '--max-total-tokens'),
  useField('max_concurrency', '--max-concurrent-requests'),
  useField('dtype', '--dtype'),
  useField('quantization', '--quantize'),
  useField('tensor_parallel_size', '--num-shard', '--sharded'),
  useField('gpu_memory_utilization', '--cuda-memory-fraction'),
  notSupported('it would open the engine to the internet', '--ngrok', '--ngrok-authtoken', '--ngrok-edge'),
];

/** Of `text-generation-launcher`, which takes every flag from a variable too: --model-id from MODEL_ID. */
export const TGI_OWN_SETTINGS: readonly OwnSetting[] = FLAGS.map(({ names, problem }) => ({
  names: [...names, ...names.filter((name) => name.startsWith('--')).map(variableOf)],
  problem,
}));

function variableOf(flag: string): string {
  return flag.slice('--'.length).replaceAll('-', '_').toUpperCase();
}
