import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadConfig } from './config.ts';
import { loadEnvironment } from './flags.ts';
import { readForeignConfig } from './foreign-config.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mesh-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function load(env: Record<string, string>, file = '') {
  if (file) writeFileSync(join(directory, 'mesh.yaml'), file);
  const { inference, router } = loadConfig([], env, directory);
  const models = inference.models.map((entry) => ({
    ...{ name: entry.name, engine: entry.engine, model: entry.model },
    ...('base_url' in entry && entry.base_url ? { base_url: entry.base_url } : {}),
  }));
  return { models, defaultModel: router.default_model };
}

const OLLAMA = { MODEL_BACKEND: 'ollama', OLLAMA_MODEL: 'qwen3:8b', MODEL_NAME: 'org/other' };
const VLLM_URL = { VLLM_BASE_URL: 'http://10.0.0.7:8001' };
const attached = { name: 'vllm', engine: 'openai', base_url: 'http://10.0.0.7:8001/v1' };

test.each<[string, Record<string, string>, object[], string]>([
  ['ollama', OLLAMA, [{ name: 'qwen3:8b', engine: 'ollama', model: 'qwen3:8b' }], 'qwen3:8b'],
  [
    'ollama without its own variable',
    { MODEL_BACKEND: 'ollama', MODEL_NAME: 'tiny' },
    [{ name: 'tiny', engine: 'ollama', model: 'tiny' }],
    'tiny',
  ],
  ...(
    [
      ['transformers', 'transformers'],
      ['vllm', 'vllm'],
      ['tgi', 'tgi'],
      ['llamacpp', 'llama.cpp'],
    ] as const
  ).map(([backend, engine]): [string, Record<string, string>, object[], string] => [
    backend,
    { ...OLLAMA, MODEL_BACKEND: backend },
    [{ name: 'other', engine, model: 'org/other' }],
    'other',
  ]),
  [
    'a server that runs already',
    { MODEL_BACKEND: 'openai', MODEL_NAME: 'org/other', VLLM_BASE_URL: 'http://10.0.0.7:8001/v1' },
    [{ ...attached, model: 'org/other' }],
    'vllm',
  ],
  [
    'vLLM that runs already',
    { ...OLLAMA, ...VLLM_URL, MODEL_BACKEND: 'vllm' },
    [{ ...attached, model: 'org/other' }],
    'vllm',
  ],
  ['an address alone', VLLM_URL, [{ ...attached, model: undefined }], 'vllm'],
  [
    'an address and a model',
    { ...VLLM_URL, VLLM_DEFAULT_MODEL: 'org/tiny' },
    [{ ...attached, model: 'org/tiny' }],
    'org/tiny',
  ],
  [
    'both systems at once',
    { ...OLLAMA, ...VLLM_URL, VLLM_DEFAULT_MODEL: 'org/tiny' },
    [
      { name: 'qwen3:8b', engine: 'ollama', model: 'qwen3:8b' },
      { ...attached, model: 'org/tiny' },
    ],
    'org/tiny',
  ],
])('%s', (_name, env, models, defaultModel) => {
  expect(load(env)).toEqual({ models, defaultModel });
});

test('an import of the same variables says the same', () => {
  const both = { ...OLLAMA, ...VLLM_URL, VLLM_DEFAULT_MODEL: 'org/tiny' };
  const text = Object.entries(both)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
  const { sections, notes } = readForeignConfig('.env', text);
  expect(notes).toEqual([]);
  const imported = load({}, JSON.stringify(sections));
  rmSync(join(directory, 'mesh.yaml'));
  expect(imported).toEqual(load(both));
});

test('beside a file: an entry of that name is the same model, others stay, its default model holds', () => {
  const other = '{ name: other, engine: vllm, model: org/x }';
  const file = `inference: { models: [${other}, { name: "qwen3:8b", engine: ollama, model: old, devices: [1] }] }\n`;
  const { models, defaultModel } = load(OLLAMA, file);
  expect([models.map(({ name, model }) => `${name} ${model}`), defaultModel]).toEqual([
    ['other org/x', 'qwen3:8b qwen3:8b'],
    'qwen3:8b',
  ]);
  expect(loadConfig([], OLLAMA, directory).inference.models[1]).toMatchObject({ devices: [1] });
  expect(load(OLLAMA, `${file}router: { default_model: other }\n`).defaultModel).toBe('other');
  expect(load({ ...VLLM_URL, VLLM_DEFAULT_MODEL: 'm' }, `${file}router: { default_model: other }\n`).defaultModel).toBe(
    'm',
  );
});

test.each<[string, Record<string, string>, RegExp, string?]>([
  ['a backend that does not exist', { MODEL_BACKEND: 'gpt' }, /^MODEL_BACKEND: expected one of ollama, .*openai/],
  ['a member of every object', { MODEL_BACKEND: 'constructor' }, /^MODEL_BACKEND: expected one of/],
  ['no model', { MODEL_BACKEND: 'tgi', OLLAMA_MODEL: 'x' }, /^MODEL_BACKEND: needs .* MODEL_NAME$/],
  ['no backend', { MODEL_NAME: 'x' }, /^MODEL_NAME: needs MODEL_BACKEND/],
  ['no address', { MODEL_BACKEND: 'openai' }, /^MODEL_BACKEND: .*VLLM_BASE_URL/],
  ['no address at all', { VLLM_BASE_URL: 'vllm' }, /^VLLM_BASE_URL: expected an address/],
  [
    'an address with a password',
    { VLLM_BASE_URL: 'http://u:hush@h/' },
    /^VLLM_BASE_URL: inference\.models\.0\.base_url: /,
  ],
  [
    'a model that is a flag',
    { MODEL_BACKEND: 'vllm', MODEL_NAME: '--x' },
    /^MODEL_BACKEND: inference\.models\.0\.model: /,
  ],
  [
    'a default model that nothing serves',
    { ...OLLAMA, VLLM_DEFAULT_MODEL: 'x' },
    /^VLLM_DEFAULT_MODEL: router\.default_model: /,
  ],
  [
    'another engine of that name',
    OLLAMA,
    /^MODEL_BACKEND: inference\.models has another 'qwen3:8b', of engine "vllm"/,
    'inference: { models: [{ name: "qwen3:8b", engine: vllm, model: x }] }',
  ],
  [
    'a wrong entry of the file beside it',
    OLLAMA,
    /^mesh\.yaml:3: inference\.models\.0\.model: /,
    'inference:\n  models:\n    - { name: a, engine: vllm, model: --b }\n',
  ],
])('%s is refused', (_name, env, message, file) => {
  expect(() => load(env, file)).toThrow(message);
  expect(() => load(env, file)).not.toThrow(/hush/);
});

test('.env of the working directory lies below the environment, and a flag may name it for something else', () => {
  writeFileSync(
    join(directory, '.env'),
    'MODEL_BACKEND=ollama\nOLLAMA_MODEL=small\nLOG_LEVEL=WARNING\nREQUIRE_HTTPS=True\n',
  );
  const config = (argv: string[], env: Record<string, string>) =>
    loadConfig(argv, loadEnvironment(argv, env, directory), directory);
  const read = config([], { OLLAMA_MODEL: 'large' });
  expect(read.inference.models[0]).toMatchObject({ name: 'large' });
  expect([read.observability.log_level, read.server.require_https]).toEqual(['warn', true]);
  expect(config([], { LOG_LEVEL: '', REQUIRE_HTTPS: '0' })).toMatchObject({
    ...{ observability: { log_level: 'info' }, server: { require_https: false } },
  });
  expect(config(['--import', './.env'], {}).inference.models).toEqual([]);
  writeFileSync(join(directory, '.env'), 'MODEL_BACKEND=ollama\nhush\n');
  expect(() => config([], {})).toThrow(/\.env:2: expected NAME=value/);
});
