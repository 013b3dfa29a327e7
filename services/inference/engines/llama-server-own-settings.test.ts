import { expect, test } from 'vitest';
import { entryProblems } from '../../../test/engines/entry-problems.ts';

const entry = { name: 'a', engine: 'llama-server', model: 'm.gguf' };
const problemsOf = (...args: string[]): string[] => entryProblems({ ...entry, extra_args: args });

const SET = 'is set by the mesh; remove it';
const SHARE = 'is not supported: each device is booked for the same share of the model';
const FIT = 'is not supported: how much of a device is used is booked; use max_model_len or gpu_layers';
const ONE_MODEL = 'is not supported: an engine serves one model; write an entry for each';

test.each([
  ['-c', 'is set by the mesh; use max_model_len'],
  ['--ctx-size', 'is set by the mesh; use max_model_len'],
  ['--kv-unified-per-slot', 'is set by the mesh; use max_model_len'],
  ['-np', 'is set by the mesh; use max_concurrency'],
  ['--parallel', 'is set by the mesh; use max_concurrency'],
  ['-ngl', 'is set by the mesh; use gpu_layers'],
  ['--gpu-layers', 'is set by the mesh; use gpu_layers'],
  ['--n-gpu-layers', 'is set by the mesh; use gpu_layers'],
  ['-dev', 'is set by the mesh; use devices'],
  ['--device', 'is set by the mesh; use devices'],
  ['-m', 'is set by the mesh; use model'],
  ['--model', 'is set by the mesh; use model'],
  ['-mu', 'is set by the mesh; use model'],
  ['-hf', 'is set by the mesh; use model'],
  ['-hfr', 'is set by the mesh; use model'],
  ['--hf-repo', 'is set by the mesh; use model'],
  ['-hff', 'is set by the mesh; use model'],
  ['-dr', 'is set by the mesh; use model'],
  ['--embedding', 'is set by the mesh; use task'],
  ['--embeddings', 'is set by the mesh; use task'],
  ['-ts', SHARE],
  ['--tensor-split', SHARE],
  ['-sm', SHARE],
  ['--split-mode', SHARE],
  ['-mg', SHARE],
  ['--main-gpu', SHARE],
  ['-fit', FIT],
  ['--fit', FIT],
  ['-fitt', FIT],
  ['--fit-target', FIT],
  ['-fitc', FIT],
  ['--fit-ctx', FIT],
  ['--host', SET],
  ['--port', SET],
  ['-a', SET],
  ['--alias', SET],
  ['--api-key', SET],
  ['--api-key-file', SET],
  ['--ssl-key-file', SET],
  ['--no-slots', SET],
  ['--no-jinja', SET],
  ['--webui', SET],
  ['-hft', 'carries a secret, and every user of this host can read arguments; use env: HF_TOKEN'],
  ['--hf-token', 'carries a secret, and every user of this host can read arguments; use env: HF_TOKEN'],
  ['--reranking', 'is not supported: the mesh has no reranking'],
])('%s is refused', (flag, problem) => {
  expect(problemsOf('--mlock', flag, 'hunter2')).toEqual([`extra_args.1: ${flag} ${problem}`]);
});

test.each([
  ['--ctx_size', '--ctx-size is set by the mesh; use max_model_len'],
  ['--n_gpu_layers', '--n-gpu-layers is set by the mesh; use gpu_layers'],
  ['--tensor_split', `--tensor-split ${SHARE}`],
  ['--api_key=hunter2', `--api-key ${SET}`],
  ['--ctx-size=9', '--ctx-size is set by the mesh; use max_model_len'],
  ['--fim-qwen-7b-default', '--fim-qwen-* is set by the mesh; use model'],
  ['--models-dir', `--models-* ${ONE_MODEL}`],
])('%s is refused under its documented name', (argument, problem) => {
  expect(problemsOf(argument)).toEqual([`extra_args.0: ${problem}`]);
});

test.each([
  ['LLAMA_API_KEY', SET],
  ['LLAMA_ARG_API_KEY_FILE', SET],
  ['LLAMA_ARG_HOST', SET],
  ['LLAMA_ARG_PORT', SET],
  ['LLAMA_ARG_ALIAS', SET],
  ['LLAMA_ARG_NO_WEBUI', SET],
  ['LLAMA_ARG_CTX_SIZE', 'is set by the mesh; use max_model_len'],
  ['LLAMA_ARG_N_PARALLEL', 'is set by the mesh; use max_concurrency'],
  ['LLAMA_ARG_N_GPU_LAYERS', 'is set by the mesh; use gpu_layers'],
  ['LLAMA_ARG_DEVICE', 'is set by the mesh; use devices'],
  ['LLAMA_ARG_MODEL', 'is set by the mesh; use model'],
  ['LLAMA_ARG_HF_REPO', 'is set by the mesh; use model'],
  ['LLAMA_ARG_EMBEDDINGS', 'is set by the mesh; use task'],
  ['LLAMA_ARG_TENSOR_SPLIT', SHARE],
  ['LLAMA_ARG_FIT_TARGET', FIT],
  ['LLAMA_ARG_MODELS_DIR', ONE_MODEL],
  ['CUDA_DEVICE_ORDER', 'is set by the mesh; use devices'],
])('the variable %s is refused', (name, problem) => {
  expect(entryProblems({ ...entry, env: { LLAMA_CACHE: '/c', [name]: '1' } })).toEqual([
    `env.${name}: ${name} ${problem}`,
  ]);
});

test("llama-server's other flags and variables are taken; it knows no abbreviations", () => {
  const flags = [
    ...['-t', '4', '-b', '512', '-ub', '512', '-fa', 'on', '-ctk', 'q8_0', '-ctv', 'q8_0', '-n', '-1', '-nkvo', '-kvu'],
    ...['-mm', 'p.gguf', '--mmproj-url', 'x', '--lora', 'a.gguf', '--pooling', 'mean', '--chat-template-file', 't'],
    ...['-ot', 'exps=CPU', '-cmoe', '-ncmoe', '9', '-md', 'd.gguf', '-ngld', '9', '-devd', 'CUDA0', '-cb', '-to', '9'],
    ...['--reasoning-format', 'none', '--rope-scaling', 'yarn', '--embd-normalize', '2', '--spec-default', '--offline'],
    ...['--model-draft', 'd.gguf', '--device-draft', 'CUDA0', '--hf-repo-draft', 'x', '--par', '--cache-ram', '-1'],
  ];
  expect(problemsOf(...flags)).toEqual([]);
  expect(entryProblems({ ...entry, env: { LLAMA_ARG_THREADS: '4', HF_TOKEN: 'x' } })).toEqual([]);
});
