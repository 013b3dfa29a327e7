import { expect, test } from 'vitest';
import { entryProblems } from '../../../test/engines/entry-problems.ts';
import { modelEntrySchema } from './model-entry.ts';

const vllm = { name: 'a', engine: 'vllm', model: 'm' };

test.each([
  vllm,
  { ...vllm, devices: [], env: { HF_HOME: '/m' }, extra_args: ['--seed', '1'], program: '/opt/vllm/bin/vllm' },
  { ...vllm, devices: [0, 1], tensor_parallel_size: 2, gpu_memory_utilization: 0.45, share_devices: true },
  { ...vllm, devices: [0, 1, 2, 3], tensor_parallel_size: 2, pipeline_parallel_size: 2 },
  { ...vllm, devices: [0], tensor_parallel_size: 16, ray_address: 'auto' },
  { ...vllm, dtype: 'bfloat16', quantization: 'awq', task: 'embed', start_timeout_seconds: 7_200 },
  { ...vllm, engine: 'tgi', dtype: 'float16', gpu_memory_utilization: 0.5 },
  { ...vllm, engine: 'llama-server', gpu_layers: 12, devices: [1] },
  { ...vllm, engine: 'transformers', dtype: 'auto', quantization: 'bnb-4bit' },
  { ...vllm, engine: 'ollama', devices: [0] },
  { ...vllm, engine: 'ollama', base_url: 'http://127.0.0.1:11434', api_key_env: 'KEY' },
  { ...vllm, engine: 'llama.cpp', devices: [0], share_devices: true },
])('%j is taken', (entry) => {
  expect(entryProblems(entry)).toEqual([]);
});

test('what is left out has its default', () => {
  expect(modelEntrySchema.parse(vllm)).toEqual({
    ...vllm,
    required: false,
    share_devices: false,
    env: {},
    extra_args: [],
    start_timeout_seconds: 3_600,
    load: 'at_start',
    task: 'generate',
    sleep_mode: false,
  });
});

test.each([
  [{ load: 'lazy' }, expect.stringContaining('load: Invalid option')],
  [{ ttl_seconds: 5 }, 'ttl_seconds: needs load: on_demand, else nothing loads it again'],
  [{ load: 'on_demand', ttl_seconds: 0 }, expect.stringContaining('ttl_seconds: ')],
  [
    { load: 'on_demand', required: true },
    'required: the mesh is ready only with it, and load: on_demand waits for a request; choose one',
  ],
  [{ sleep_mode: true }, 'sleep_mode: needs load: on_demand, else it is never sent to sleep'],
  [{ devices: [1, 1] }, 'devices: names a device twice'],
  [{ devices: [0, 1, 2], tensor_parallel_size: 2 }, 'devices: names 3 devices, and tensor_parallel_size asks for 2'],
  [{ devices: [0], tensor_parallel_size: 2 }, 'devices: names 1 devices, and tensor_parallel_size asks for 2'],
  [
    { devices: [0, 1, 2], pipeline_parallel_size: 2 },
    'devices: names 3 devices, and tensor_parallel_size times pipeline_parallel_size asks for 4',
  ],
  [{ ray_address: 'auto' }, 'devices: must name the devices of this host that the Ray cluster may use, or none: []'],
  [{ model: '--trust-remote-code' }, "model: must not start with '-'"],
  [{ gpu_memory_utilization: 1.1 }, expect.stringContaining('gpu_memory_utilization: ')],
  [{ dtype: 'int3' }, expect.stringContaining('dtype: ')],
  [{ base_url: 'http://x' }, ': Unrecognized key: "base_url"'],
])('%j is refused', (fields, problem) => {
  expect(entryProblems({ ...vllm, ...fields })).toEqual([problem]);
});

test.each([
  ['tgi', { ray_address: 'auto' }, ': Unrecognized key: "ray_address"'],
  ['llama-server', { dtype: 'float16' }, ': Unrecognized key: "dtype"'],
  ['transformers', { tensor_parallel_size: 2 }, ': Unrecognized key: "tensor_parallel_size"'],
  [
    'ollama',
    { base_url: 'http://x', devices: [0] },
    'devices: is only for an Ollama that the mesh starts, without base_url',
  ],
  [
    'ollama',
    { base_url: 'http://x', load: 'on_demand' },
    'load: is only for an Ollama that the mesh starts, without base_url',
  ],
  ['tgi', { load: 'on_demand', sleep_mode: true }, ': Unrecognized key: "sleep_mode"'],
  ['ollama', { api_key_env: 'KEY' }, 'api_key_env: needs base_url'],
  ['ollama', { extra_args: ['x'] }, ': Unrecognized key: "extra_args"'],
  ['abacus', {}, expect.stringMatching(/^engine: Invalid/)],
])('%s with %j is refused', (engine, fields, problem) => {
  expect(entryProblems({ ...vllm, engine, ...fields })).toEqual([problem]);
});
