import { notSupported, type OwnSetting, secretFlag, setByMesh, useField } from './own-settings.ts';

/** Presets of a model from a hub, some with a port and layers of their own. */
const PRESETS = [
  '--fim-qwen-*',
  '--gpt-oss-*',
  '--vision-gemma-*',
  '--embd-gemma-*',
  '--embd-bge-*',
  '--embd-e5-*',
  '--embd-gte-*',
];

/** Of `llama-server`, which takes most flags from a variable too; names differ. */
export const LLAMA_SERVER_OWN_SETTINGS: readonly OwnSetting[] = [
  setByMesh('--host', 'LLAMA_ARG_HOST', '--port', 'LLAMA_ARG_PORT', '--api-prefix', 'LLAMA_ARG_API_PREFIX'),
  setByMesh('--api-key', 'LLAMA_API_KEY', '--api-key-file', 'LLAMA_ARG_API_KEY_FILE'),
  setByMesh('--ssl-key-file', 'LLAMA_ARG_SSL_KEY_FILE', '--ssl-cert-file', 'LLAMA_ARG_SSL_CERT_FILE'),
  setByMesh('--alias', '-a', 'LLAMA_ARG_ALIAS', '--metrics', 'LLAMA_ARG_ENDPOINT_METRICS'),
  setByMesh('--slots', '--no-slots', 'LLAMA_ARG_ENDPOINT_SLOTS', 'LLAMA_ARG_NO_ENDPOINT_SLOTS'),
  setByMesh('--ui', '--no-ui', 'LLAMA_ARG_UI', '--webui', '--no-webui', 'LLAMA_ARG_WEBUI', 'LLAMA_ARG_NO_WEBUI'),
  setByMesh('--jinja', '--no-jinja', 'LLAMA_ARG_JINJA', 'LLAMA_ARG_NO_JINJA'),
  useField('model', '--model', '-m', 'LLAMA_ARG_MODEL', '--model-url', '-mu', 'LLAMA_ARG_MODEL_URL'),
  useField('model', '--hf-repo', '-hf', '-hfr', 'LLAMA_ARG_HF_REPO', '--hf-file', '-hff', 'LLAMA_ARG_HF_FILE'),
  useField('model', '--docker-repo', '-dr', 'LLAMA_ARG_DOCKER_REPO', ...PRESETS),
  useField('max_model_len', '--ctx-size', '-c', 'LLAMA_ARG_CTX_SIZE'),
  useField('max_model_len', '--kv-unified-per-slot', 'LLAMA_ARG_KV_UNIFIED_PER_SLOT'),
  useField('max_concurrency', '--parallel', '-np', 'LLAMA_ARG_N_PARALLEL'),
  useField('gpu_layers', '--gpu-layers', '--n-gpu-layers', '-ngl', 'LLAMA_ARG_N_GPU_LAYERS'),
  useField('devices', '--device', '-dev', 'LLAMA_ARG_DEVICE'),
  useField('task', '--embedding', '--embeddings', 'LLAMA_ARG_EMBEDDINGS'),
  notSupported('the mesh has no reranking', '--rerank', '--reranking', 'LLAMA_ARG_RERANKING'),
  notSupported(
    'each device is booked for the same share of the model',
    ...['--split-mode', '-sm', 'LLAMA_ARG_SPLIT_MODE', '--tensor-split', '-ts', 'LLAMA_ARG_TENSOR_SPLIT'],
    ...['--main-gpu', '-mg', 'LLAMA_ARG_MAIN_GPU'],
  ),
  notSupported(
    'how much of a device is used is booked; use max_model_len or gpu_layers',
    ...['--fit', '-fit', 'LLAMA_ARG_FIT', '--fit-target', '-fitt', 'LLAMA_ARG_FIT_TARGET'],
    ...['--fit-ctx', '-fitc', 'LLAMA_ARG_FIT_CTX'],
  ),
  notSupported(
    'an engine serves one model; write an entry for each',
    ...['--models-*', '--no-models-autoload', 'LLAMA_ARG_MODELS_*', 'LLAMA_ARG_NO_MODELS_AUTOLOAD'],
  ),
  secretFlag('HF_TOKEN', '--hf-token', '-hft'),
];
