import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { RANDOM_MODEL } from '../../../test/fixtures/embedded-engine.ts';
import { deviceDemand, newEngineKey, newSocketPath, processLaunch, type StartedEntry } from './process-launch.ts';

const directory = mkdtempSync(join(tmpdir(), 'mesh-test-'));
afterAll(() => rmSync(directory, { recursive: true }));

const entry: StartedEntry = { engine: 'vllm', model: 'some/model', share_devices: false, env: {}, extra_args: [] };
const parts = { program: 'tool', args: ['serve'], readLine: () => undefined, failures: [] };

test("the operator's variables come over defaults, never over devices, keys and what the mesh sets", () => {
  const env = { DO_NOT_TRACK: '0', B: 'mine', TOOL_KEY: 'mine', CUDA_VISIBLE_DEVICES: '7', LANG: 'de' };
  const apiKey = { variable: 'TOOL_KEY', value: 'ours' };
  const launch = processLaunch(
    { ...entry, env, extra_args: ['--more'] },
    { devices: [2, 0], ports: [] },
    { ...parts, defaults: { DO_NOT_TRACK: '1', A: '1' }, environment: { B: 'ours' }, apiKey },
  );
  expect(launch.args).toEqual(['serve', '--more']);
  expect(launch.environment).toEqual({
    A: '1',
    B: 'ours',
    DO_NOT_TRACK: '0',
    LANG: 'de',
    TOOL_KEY: 'ours',
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
    CUDA_VISIBLE_DEVICES: '2,0',
  });
});

test('the key of the start is masked, and so is what is secret by the name of its variable', () => {
  const env = { HF_TOKEN: 'hf-0123456789', HF_HOME: '/data/models' };
  const apiKey = { variable: 'TOOL_KEY', value: 'k' };
  const launch = processLaunch({ ...entry, env }, { devices: [], ports: [] }, { ...parts, apiKey });
  expect(launch.secrets).toEqual(['k', 'hf-0123456789']);
  expect(launch.environment.CUDA_VISIBLE_DEVICES).toBe('');
});

test('keys and sockets are of one start alone', () => {
  expect(newEngineKey()).toMatch(/^[\w-]{32}$/);
  expect(newEngineKey()).not.toBe(newEngineKey());
  const setting = { runDirectory: '/run/mesh' };
  expect(newSocketPath(setting)).toMatch(/^\/run\/mesh\/[0-9a-f]{8}\.sock$/);
  expect(newSocketPath(setting)).not.toBe(newSocketPath(setting));
});

test('what a run took is remembered by what makes a difference to it, and by nothing secret', async () => {
  const runOf = async (rest: object) =>
    (await deviceDemand({ ...entry, ...rest }, { model: RANDOM_MODEL }, { fallsBackToCpu: true }))?.run;
  const run = await runOf({ name: 'a', env: { HF_TOKEN: 'hf-0123456789' }, max_model_len: 64 });
  expect(run).toEqual(await runOf({ name: 'b', required: true, devices: [3], max_model_len: 64 }));
  expect(run).not.toEqual(await runOf({ max_model_len: 128 }));
  expect(run).not.toEqual(await runOf({ max_model_len: 64, extra_args: ['--x'] }));
  expect(run).not.toEqual(await runOf({ max_model_len: 64, devices: [0, 1] }));
  expect(JSON.stringify(run)).not.toContain('hf-');
});

test('the demand: how many devices, which, and what is claimed of each', async () => {
  const use = { model: RANDOM_MODEL, contextTokens: 64 };
  const one = await deviceDemand(entry, use, { fallsBackToCpu: true });
  expect(one).toEqual({
    run: expect.anything(),
    count: 1,
    indices: undefined,
    claim: { kind: 'bytes', bytes: one?.neededBytes },
    neededBytes: expect.any(Number),
    shares: false,
    fallsBackToCpu: true,
  });
  expect(one?.neededBytes).toBeGreaterThan(0);
  const split = { ...entry, devices: [3, 1], share_devices: true };
  expect(await deviceDemand(split, use, { share: 0.4, fallsBackToCpu: false })).toMatchObject({
    count: 2,
    indices: [3, 1],
    claim: { kind: 'share', share: 0.4 },
    shares: true,
  });
  const wide = { ...entry, tensor_parallel_size: 4 };
  expect(await deviceDemand(wide, use, { fallsBackToCpu: false })).toMatchObject({ count: 4, indices: undefined });
  expect(await deviceDemand({ ...entry, devices: [] }, use, { fallsBackToCpu: true })).toBeUndefined();
});

test("a model is looked for where the engine's own variables say", async () => {
  const snapshot = join(directory, 'hub', 'models--a--b', 'snapshots', 'r1');
  mkdirSync(snapshot, { recursive: true });
  mkdirSync(join(directory, 'hub', 'models--a--b', 'refs'));
  writeFileSync(join(directory, 'hub', 'models--a--b', 'refs', 'main'), 'r1');
  const config = { hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4, vocab_size: 1_000 };
  const sizes = { intermediate_size: 128, max_position_embeddings: 128, torch_dtype: 'float16' };
  writeFileSync(join(snapshot, 'config.json'), JSON.stringify({ ...config, ...sizes }));
  const options = { fallsBackToCpu: true };
  const elsewhere = await deviceDemand(entry, { model: 'a/b' }, options);
  expect(elsewhere?.neededBytes).toBe(0);
  const found = await deviceDemand({ ...entry, env: { HF_HOME: directory } }, { model: 'a/b' }, options);
  expect(found?.neededBytes).toBeGreaterThan(0);
});
