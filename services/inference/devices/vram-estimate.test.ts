import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { RANDOM_MODEL } from '../../../test/fixtures/embedded-engine.ts';
import { estimateMemory, ModelFilesError } from './vram-estimate.ts';

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;
const home = mkdtempSync(join(tmpdir(), 'hub-'));
afterAll(() => rmSync(home, { recursive: true }));

const environment = (name: string) => (name === 'HF_HOME' ? home : undefined);

/** Llama 3.1 8B: 8,030,261,248 weights. */
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

/** Puts a model into the cache of the hub: its config.json, and files by name with what they hold. */
function inCache(model: string, config: object, files: Readonly<Record<string, string | Buffer>> = {}): string {
  const folder = join(home, 'hub', `models--${model.replace('/', '--')}`);
  const snapshot = join(folder, 'snapshots', 'abc');
  mkdirSync(snapshot, { recursive: true });
  mkdirSync(join(folder, 'refs'), { recursive: true });
  writeFileSync(join(folder, 'refs', 'main'), 'abc');
  writeFileSync(join(snapshot, 'config.json'), JSON.stringify(config));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(snapshot, name), content);
  return snapshot;
}

/** A safetensors file whose tensors are not there: only the header is read. */
function safetensors(tensors: Readonly<Record<string, readonly [dtype: string, bytes: number]>>): Buffer {
  let offset = 0;
  const entries = Object.entries(tensors).map(([name, [dtype, bytes]]) => {
    const entry = [name, { dtype, shape: [bytes], data_offsets: [offset, offset + bytes] }];
    offset += bytes;
    return entry;
  });
  const header = Buffer.from(JSON.stringify({ __metadata__: { format: 'pt' }, ...Object.fromEntries(entries) }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header]);
}

const estimate = (use: Parameters<typeof estimateMemory>[0]) => estimateMemory(use, environment);

test('weights come from the headers, the cache from the shape, context and concurrency', async () => {
  inCache('org/llama', LLAMA_8B, {
    'model.safetensors': safetensors({ a: ['BF16', 15 * GIB], b: ['F32', 8] }),
  });
  // 32 layers × 8 heads × 128 numbers × 2 (key and value) × 2 bytes = 128 KiB per token.
  const found = await estimate({ model: 'org/llama', contextTokens: 8_192, concurrency: 4 });
  expect(found).toMatchObject({ weightsBytes: 15 * GIB + 8, cacheBytes: 4 * GIB, contextTokens: 8_192, heads: 32 });
  expect(found?.perDeviceBytes).toBe((found?.weightsBytes ?? 0) + 4 * GIB + (found?.overheadBytes ?? 0));
  expect(found?.overheadBytes).toBeGreaterThan(GIB);
  // Without a limit one sequence may be as long as the model was trained for.
  expect(await estimate({ model: 'org/llama' })).toMatchObject({ cacheBytes: 16 * GIB, contextTokens: 131_072 });
});

test('every device has its part of weights and heads; beyond one head each it gets no smaller', async () => {
  inCache('org/llama', LLAMA_8B, { 'model.safetensors': safetensors({ a: ['BF16', 16 * GIB] }) });
  const on = async (tensorParallel: number) => {
    const found = await estimate({ model: 'org/llama', contextTokens: 8_192, tensorParallel });
    return (found?.cacheBytes ?? 0) / GIB;
  };
  expect([await on(1), await on(2), await on(8), await on(16)]).toEqual([1, 1, 1, 2]);
  const two = await estimate({ model: 'org/llama', contextTokens: 8_192, tensorParallel: 2 });
  expect(two?.perDeviceBytes).toBe(Math.ceil(8 * GIB + GIB / 2 + GIB + 0.8 * GIB));
});

test('a conversion changes plain numbers and leaves quantised ones', async () => {
  inCache('org/mixed', LLAMA_8B, { 'model.safetensors': safetensors({ a: ['F32', 8 * GIB], b: ['I32', GIB] }) });
  expect((await estimate({ model: 'org/mixed', dtype: 'bfloat16' }))?.weightsBytes).toBe(5 * GIB);
  expect((await estimate({ model: 'org/mixed', dtype: 'auto' }))?.weightsBytes).toBe(9 * GIB);
});

test('a consolidated second copy is not counted, and an index says what all parts are', async () => {
  const part = safetensors({ a: ['BF16', GIB] });
  inCache('org/twice', LLAMA_8B, { 'model.safetensors': part, 'consolidated.safetensors': part });
  expect((await estimate({ model: 'org/twice' }))?.weightsBytes).toBe(GIB);
  const index = {
    metadata: { total_size: 7 * GIB },
    weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' },
  };
  inCache('org/half', LLAMA_8B, {
    'model.safetensors.index.json': JSON.stringify(index),
    'model-00001-of-00002.safetensors': part,
  });
  expect((await estimate({ model: 'org/half' }))?.weightsBytes).toBe(7 * GIB);
});

test('with config.json alone the weights are reckoned from the shape', async () => {
  inCache('org/config-only', LLAMA_8B);
  const found = await estimate({ model: 'org/config-only' });
  expect((found?.weightsBytes ?? 0) / 2).toBeGreaterThan(8.0e9);
  expect((found?.weightsBytes ?? 0) / 2).toBeLessThan(8.1e9);
});

test('old names, latent attention, layers with a state and a model of several parts', async () => {
  inCache('gpt2', { n_embd: 768, n_head: 12, n_layer: 12, n_positions: 1024, vocab_size: 50_257 });
  expect(await estimate({ model: 'gpt2' })).toMatchObject({ cacheBytes: 12 * 768 * 2 * 2 * 1024 });
  const latent = { ...LLAMA_8B, kv_lora_rank: 512, qk_rope_head_dim: 64 };
  inCache('org/latent', latent);
  const one = await estimate({ model: 'org/latent', contextTokens: 1_000 });
  expect(one?.cacheBytes).toBe(32 * 576 * 2 * 1_000);
  const kinds = Array.from({ length: 32 }, (_, layer) => (layer % 4 === 3 ? 'full_attention' : 'linear_attention'));
  inCache('org/hybrid', { vision_config: { hidden_size: 1 }, text_config: { ...LLAMA_8B, layer_types: kinds } });
  expect(await estimate({ model: 'org/hybrid', contextTokens: 8_192 })).toMatchObject({ cacheBytes: GIB / 4 });
});

test('a GGUF and a split one', async () => {
  const found = await estimate({ model: RANDOM_MODEL, contextTokens: 128 });
  expect(found?.weightsBytes).toBe(statSync(RANDOM_MODEL).size);
  expect(found?.overheadBytes).toBe(768 * MIB);
  expect(found?.cacheBytes).toBeGreaterThan(0);
  const [first, second] = [1, 2].map((part) => join(home, `big-0000${part}-of-00002.gguf`));
  copyFileSync(RANDOM_MODEL, first ?? '');
  writeFileSync(second ?? '', '');
  truncateSync(second ?? '', 3 * GIB);
  expect((await estimate({ model: first ?? '' }))?.weightsBytes).toBe(statSync(RANDOM_MODEL).size + 3 * GIB);
});

test('a GGUF of the hub, by its quantisation', async () => {
  const folder = inCache('org/gguf', {});
  for (const name of ['model-Q4_K_M.gguf', 'model-Q8_0.gguf']) copyFileSync(RANDOM_MODEL, join(folder, name));
  truncateSync(join(folder, 'model-Q8_0.gguf'), GIB);
  const weights = async (model: string) => (await estimate({ model }))?.weightsBytes;
  expect(await weights('hf:org/gguf')).toBe(statSync(RANDOM_MODEL).size);
  expect(await weights('hf:org/gguf:q8_0')).toBe(GIB);
  expect(await weights('hf:org/gguf:Q2_K')).toBeUndefined();
});

test('what is not here has no known size', async () => {
  expect(await estimate({ model: 'org/absent' })).toBeUndefined();
  expect(await estimate({ model: '/no/such/model.gguf' })).toBeUndefined();
  for (const model of ['../../etc/x', 'hf:../x', 'hf:org/..']) expect(await estimate({ model })).toBeUndefined();
  expect(await estimate({ model: dirname(RANDOM_MODEL) })).toBeUndefined();
});

test('damaged files are told by name', async () => {
  const long = Buffer.alloc(8);
  long.writeBigUInt64LE(1n << 60n);
  const broken = [Buffer.alloc(3), long, Buffer.concat([safetensors({}).subarray(0, 8), Buffer.alloc(64, '{')])];
  for (const content of broken) {
    inCache('org/broken', LLAMA_8B, { 'model.safetensors': content });
    await expect(estimate({ model: 'org/broken' })).rejects.toThrow(
      new ModelFilesError('model.safetensors is damaged: download the model again.'),
    );
  }
  const folder = inCache('org/bad-config', {});
  writeFileSync(join(folder, 'config.json'), '{');
  await expect(estimate({ model: 'org/bad-config' })).rejects.toThrow('config.json is damaged');
  writeFileSync(join(home, 'text.gguf'), 'no model');
  await expect(estimate({ model: join(home, 'text.gguf') })).rejects.toThrow('text.gguf cannot be read as GGUF');
});
