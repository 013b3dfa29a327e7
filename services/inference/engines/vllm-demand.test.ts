import { expect, test } from 'vitest';
import { entryOf } from '../../../test/engines/vllm/start.ts';
import { RANDOM_MODEL } from '../../../test/fixtures/embedded-engine.ts';
import { vllmEngine } from './vllm.ts';

test.each([
  [{}, { count: 1, indices: undefined, shares: false, claim: { kind: 'share', share: 0.9 } }],
  [
    { devices: [2, 3], gpu_memory_utilization: 0.4 },
    { count: 2, indices: [2, 3], claim: { kind: 'share', share: 0.4 } },
  ],
  [
    { tensor_parallel_size: 2, pipeline_parallel_size: 2 },
    { count: 4, indices: undefined },
  ],
  [
    { devices: [5], ray_address: 'auto', tensor_parallel_size: 8 },
    { count: 1, indices: [5] },
  ],
])('an entry with %j asks for devices', async (fields, demand) => {
  expect(await vllmEngine(entryOf(fields)).demand()).toMatchObject({ fallsBackToCpu: false, ...demand });
});

test('what is needed is told by the files, unless they are quantized while they load', async () => {
  const needed = async (fields: object) =>
    (await vllmEngine(entryOf({ model: RANDOM_MODEL, max_model_len: 64, max_concurrency: 99, ...fields })).demand())
      ?.neededBytes;
  const stored = (await needed({})) ?? 0;
  expect(stored).toBeGreaterThan(0);
  // As many sequences as there may be need not fit at a time.
  expect(await needed({ max_concurrency: 1 })).toBe(stored);
  expect(await needed({ quantization: 'fp8' })).toBe(0);
  expect(await needed({ quantization: 'awq' })).toBe(stored);
});

test('on the CPU and with no device of this host in its Ray cluster it asks for none', async () => {
  expect(await vllmEngine(entryOf({ devices: [] })).demand()).toBeUndefined();
  expect(await vllmEngine(entryOf({ devices: [], ray_address: 'auto' })).demand()).toBeUndefined();
});
