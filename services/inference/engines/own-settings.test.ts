import { expect, test } from 'vitest';
import { entryProblems } from '../../../test/engines/entry-problems.ts';

const ENGINES = ['llama.cpp', 'vllm', 'tgi', 'llama-server', 'transformers', 'ollama'];
const entry = { name: 'a', model: 'm' };

test.each(ENGINES)('%s: what shows it its devices and what marks its processes are the mesh’s', (engine) => {
  const problemsOf = (name: string) => entryProblems({ ...entry, engine, env: { [name]: '1' } });
  for (const name of ['CUDA_VISIBLE_DEVICES', 'CUDA_DEVICE_ORDER', 'NVIDIA_VISIBLE_DEVICES']) {
    expect(problemsOf(name)).toEqual([`env.${name}: ${name} is set by the mesh; use devices`]);
  }
  expect(problemsOf('MESH_ENGINE_MARK')).toEqual([
    'env.MESH_ENGINE_MARK: MESH_ENGINE_MARK is set by the mesh; remove it',
  ]);
  expect(problemsOf('HF_HOME')).toEqual([]);
});

test.each(ENGINES)('%s: a name that would set another variable is none', (engine) => {
  const env = { 'CUDA_VISIBLE_DEVICES=7': '' };
  expect(entryProblems({ ...entry, engine, env })).toEqual([
    "env.CUDA_VISIBLE_DEVICES=7: must be the name of a variable, without '='",
  ]);
});

test.each([
  ['--host', '--host is set by the mesh; remove it'],
  ['--port=80', '--port is set by the mesh; remove it'],
  ['--po=80', '--port is set by the mesh; remove it'],
  ['--device', '--device is set by the mesh; use devices'],
  ['--dtype=float16', '--dtype is set by the mesh; use dtype'],
  ['--torch_dtype', '--torch-dtype is set by the mesh; use dtype'],
  ['--quantization', '--quantization is set by the mesh; use quantization'],
  ['--load-in-8bit', '--load-in-8bit is set by the mesh; use quantization'],
  ['--force-model', '--force-model is set by the mesh; use model'],
])('transformers: %s is refused', (argument, problem) => {
  const args = ['--continuous-batching', argument];
  expect(entryProblems({ ...entry, engine: 'transformers', extra_args: args })).toEqual([`extra_args.1: ${problem}`]);
});

test('transformers: its other flags are taken', () => {
  const args = [
    ...['--continuous-batching', '--compile', '--trust-remote-code', '--enable-cors', '--cb-max-memory-percent', '0.5'],
    ...[
      '--model-timeout',
      '-1',
      '--log-level',
      'info',
      '--default-seed',
      '1',
      '--attn-implementation',
      'sdpa',
      '--help',
    ],
  ];
  expect(entryProblems({ ...entry, engine: 'transformers', extra_args: args })).toEqual([]);
});

test.each([
  ['--model', '--model is set by the mesh; use model'],
  ['--context=9', '--context is set by the mesh; use max_model_len'],
  ['--sequences', '--sequences is set by the mesh; use max_concurrency'],
  ['--gpu', '--gpu is set by the mesh; use devices'],
  ['--socket=/x', '--socket is set by the mesh; remove it'],
  ['--api-key-env', '--api-key-env is set by the mesh; remove it'],
])('llama.cpp: %s is refused', (argument, problem) => {
  const args = ['--threads', '2', argument];
  expect(entryProblems({ ...entry, engine: 'llama.cpp', extra_args: args })).toEqual([`extra_args.2: ${problem}`]);
});

test('llama.cpp: the variable with its key is refused', () => {
  const env = { MESH_ENGINE_KEY: 'x' };
  expect(entryProblems({ ...entry, engine: 'llama.cpp', env })).toEqual([
    'env.MESH_ENGINE_KEY: MESH_ENGINE_KEY is set by the mesh; remove it',
  ]);
});

const CHILD = 'is not supported: Ollama sets it for the llama-server that it starts';

test.each([
  ['OLLAMA_HOST', 'is set by the mesh; remove it'],
  ['OLLAMA_KEEP_ALIVE', 'is set by the mesh; remove it'],
  ['OLLAMA_MAX_LOADED_MODELS', 'is set by the mesh; remove it'],
  ['OLLAMA_NUM_PARALLEL', 'is set by the mesh; use max_concurrency'],
  ['OLLAMA_CONTEXT_LENGTH', 'is set by the mesh; use max_model_len'],
  ['LLAMA_ARG_N_GPU_LAYERS', CHILD],
  ['LLAMA_ARG_DEVICE', CHILD],
  ['LLAMA_API_KEY', CHILD],
])('Ollama: the variable %s is refused', (name, problem) => {
  const env = { OLLAMA_MODELS: '/m', OLLAMA_KV_CACHE_TYPE: 'q8_0', [name]: '1' };
  expect(entryProblems({ ...entry, engine: 'ollama', env })).toEqual([`env.${name}: ${name} ${problem}`]);
});
