import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { isSameModel } from './ollama-names.ts';
import { ggufOf, modelsDirectory } from './ollama-store.ts';

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

const DIGEST = `sha256:${'ab'.repeat(32)}`;

function store(manifest: string, content: unknown): string {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-test-'));
  directories.push(directory);
  const file = join(directory, 'manifests', manifest);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return directory;
}

const layers = [
  { mediaType: 'application/vnd.ollama.image.template', digest: `sha256:${'0'.repeat(64)}` },
  { mediaType: 'application/vnd.ollama.image.model', digest: DIGEST },
];

test.each([
  ['qwen3:8b', 'registry.ollama.ai/library/qwen3/8b'],
  ['Qwen3', 'registry.ollama.ai/library/qwen3/latest'],
  ['someone/tuned:q4', 'registry.ollama.ai/someone/tuned/q4'],
  ['hf.co/user/repo-GGUF:Q4_K_M', 'hf.co/User/Repo-GGUF/Q4_K_M'],
])('the weights of %s are found by its manifest', async (model, manifest) => {
  const directory = store(manifest, { layers });
  expect(await ggufOf(model, directory)).toBe(join(directory, 'blobs', `sha256-${'ab'.repeat(32)}`));
});

test('a model that is not pulled is refused with what to do', async () => {
  const directory = store('registry.ollama.ai/library/qwen3/8b', { layers });
  await expect(ggufOf('qwen3:4b', directory)).rejects.toMatchObject({
    name: 'StartRefusedError',
    message: "Ollama does not have the model 'qwen3:4b'. Fetch it with `ollama pull qwen3:4b`.",
    hint: 'Fetch it with `ollama pull qwen3:4b`.',
  });
});

test('a name cannot lead out of the store', async () => {
  const directory = store('x/y/z/latest', { layers });
  for (const model of ['../../x/y/z', 'a//b', '']) {
    await expect(ggufOf(model, directory)).rejects.toThrow('ollama pull');
  }
});

test('weights in another form have no GGUF; a broken manifest is told', async () => {
  const safetensors = store('registry.ollama.ai/library/m/latest', { layers: [{ mediaType: 'x', digest: 'y' }] });
  expect(await ggufOf('m', safetensors)).toBeUndefined();
  await expect(ggufOf('m', store('registry.ollama.ai/library/m/latest', {}))).rejects.toThrow('has no layers');
  await expect(ggufOf('m', store('registry.ollama.ai/library/m/latest', '{'))).rejects.toThrow();
});

test('the store is where the variables of the process say', () => {
  expect(modelsDirectory({ OLLAMA_MODELS: '/data/models', HOME: '/x' })).toBe('/data/models');
  expect(modelsDirectory({ HOME: '/x' })).toBe('/x/.ollama/models');
  expect(modelsDirectory({})).toBe(join(homedir(), '.ollama/models'));
});

test('names are compared as Ollama does', () => {
  expect(isSameModel('Qwen3', 'registry.ollama.ai/library/qwen3:latest')).toBe(true);
  expect(isSameModel('qwen3:8b', 'qwen3:4b')).toBe(false);
  expect(isSameModel('a/qwen3', 'qwen3')).toBe(false);
});
