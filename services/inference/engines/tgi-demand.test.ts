import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { entryOf } from '../../../test/engines/tgi/start.ts';
import { place } from '../devices/placement.ts';
import { tgiEngine } from './tgi.ts';

const KIB = 1024;
const GIB = 1024 ** 3;

/** 32 layers × 8 heads × 128 numbers × 2 (key and value) × 2 bytes. */
const CACHE_BYTES_PER_TOKEN = 128 * KIB;
const LLAMA_8B = {
  hidden_size: 4096,
  intermediate_size: 14_336,
  max_position_embeddings: 131_072,
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 8,
  torch_dtype: 'bfloat16',
  vocab_size: 128_256,
};

const model = mkdtempSync(join(tmpdir(), 'mesh-'));
writeFileSync(join(model, 'config.json'), JSON.stringify(LLAMA_8B));
afterAll(() => rmSync(model, { recursive: true }));

const demandOf = (fields: object) => tgiEngine(entryOf({ model, ...fields })).demand();
const needed = async (fields: object) => (await demandOf(fields))?.neededBytes ?? -1;

test('weights and one sequence of full length are needed, however many requests share the cache', async () => {
  const long = await needed({ max_model_len: 8_192 });
  expect(long - (await needed({ max_model_len: 4_096 }))).toBe(4_096 * CACHE_BYTES_PER_TOKEN);
  for (const max_concurrency of [1, 128]) expect(await needed({ max_model_len: 8_192, max_concurrency })).toBe(long);
});

test('without a length it takes what fits: its warm-up must', async () => {
  expect(await needed({})).toBe(await needed({ max_model_len: 4_096 }));
});

test('what is needed is not in the files of a model that is quantized while it loads', async () => {
  const stored = await needed({});
  for (const quantization of ['eetq', 'bitsandbytes-nf4', 'fp8']) expect(await needed({ quantization })).toBe(0);
  for (const quantization of ['awq', 'gptq']) expect(await needed({ quantization })).toBe(stored);
});

test('a model with its cache fits on a device of 24 GiB, for 128 requests at a time', async () => {
  const demand = await demandOf({ max_model_len: 8_192, max_concurrency: 128 });
  if (!demand) throw new Error('no demand');
  const device = { index: 0, uuid: 'GPU-0', name: 'NVIDIA L4', totalBytes: 24 * GIB, usedBytes: 0, foreignBytes: 0 };
  const { outcome, why } = place([{ ...device, foreignProcesses: [], bookings: [], claims: [] }], demand);
  expect([outcome, why]).toEqual(['devices', expect.any(String)]);
});
