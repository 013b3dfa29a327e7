import { expect, test } from 'vitest';
import type { LlamaCppEntry } from './llama-cpp-entry.ts';
import { llamaCppLaunch } from './llama-cpp-launch.ts';
import { modelEntrySchema } from './model-entry.ts';

function environmentOf(variables: Record<string, string>, env: Record<string, string> = {}) {
  const fields = { name: 'e', engine: 'llama.cpp', model: 'a.gguf', env };
  const entry = modelEntrySchema.parse(fields) as LlamaCppEntry;
  const environmentVariable = (name: string) => variables[name];
  const setting = { runDirectory: '/run', nodePath: 'node', gpu: 'none', environmentVariable } as const;
  return llamaCppLaunch(entry, setting, { devices: [], ports: [], socketPath: '/run/s', apiKey: 'k' }).environment;
}

test('compiled code is kept where the mesh keeps its own, unless the operator says where', () => {
  const ours = { NODE_COMPILE_CACHE: '/kept', SECRET: 'x' };
  expect(environmentOf(ours)).toEqual({
    NODE_COMPILE_CACHE: '/kept',
    MESH_ENGINE_KEY: 'k',
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
    CUDA_VISIBLE_DEVICES: '',
  });
  expect(environmentOf(ours, { NODE_COMPILE_CACHE: '/own' })).toMatchObject({ NODE_COMPILE_CACHE: '/own' });
  expect(environmentOf({})).not.toHaveProperty('NODE_COMPILE_CACHE');
});
