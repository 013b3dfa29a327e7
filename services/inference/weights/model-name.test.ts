import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readModelName } from './model-name.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'mesh-models-')));
afterAll(() => rmSync(root, { recursive: true }));
mkdirSync(join(root, 'user'));
writeFileSync(join(root, 'user', 'a.gguf'), 'GGUF');
writeFileSync(join(root, 'text.gguf'), 'text');

const read = (name: string) => readModelName(name, root);

test('a path of a GGUF file comes before a name of the hub', async () => {
  expect(await read('user/a.gguf')).toEqual({ kind: 'file', path: join(root, 'user', 'a.gguf') });
});

test.each(['Qwen/Qwen2.5-7B-Instruct', 'gpt2', 'a_b/_c.d', `${'u'.repeat(96)}/${'r'.repeat(96)}`])(
  '%s is a model of the hub',
  async (id) => {
    expect(await read(id)).toEqual({ kind: 'hub', id });
  },
);

test('a reference to a file of the hub is told with its path when it is here and was verified', async () => {
  expect(await read('hf:user/model:Q8_0')).toMatchObject({
    kind: 'hub-file',
    path: undefined,
    reference: { user: 'user', repository: 'model', quantization: 'Q8_0' },
  });
  mkdirSync(join(root, 'user--model'));
  writeFileSync(join(root, 'user--model', 'm-Q8_0.gguf'), 'GGUF');
  const files = [{ path: 'm-Q8_0.gguf', sizeBytes: 4, sha256: 'x' }];
  writeFileSync(join(root, 'user--model', 'q8_0.verified.json'), JSON.stringify({ commit: 'c', files }));
  expect(await read('hf:user/model:Q8_0')).toMatchObject({ path: join(root, 'user--model', 'm-Q8_0.gguf') });
});

const NO_GGUF = 'model: there is no GGUF file that can be read at this path below the model directory';

test.each([
  '/etc/hosts.gguf',
  '../a.gguf',
  'user/../user/a.gguf',
  'none.gguf',
  'text.gguf',
  'a\0.gguf',
  '-.gguf',
  `${'a'.repeat(4_091)}.gguf`,
  `${root}/none.gguf`,
])('%j and every other file that is none get the same words', async (name) => {
  await expect(read(name)).rejects.toMatchObject({
    reason: 'INVALID_FIELD',
    message: NO_GGUF,
    metadata: { field: 'model' },
  });
});

test.each([
  ['', 'is no configured engine'],
  ['.', 'is no configured engine'],
  ['..', 'is no configured engine'],
  ['../..', 'is no configured engine'],
  ['user/..', 'is no configured engine'],
  ['./model', 'is no configured engine'],
  ['/etc/passwd', 'is no configured engine'],
  ['a/b/c', 'is no configured engine'],
  ['user/', 'is no configured engine'],
  ['-model', 'is no configured engine'],
  ['--help', 'is no configured engine'],
  ['user/-model', 'is no configured engine'],
  ['user\\model', 'is no configured engine'],
  ['user/model\0', 'is no configured engine'],
  ['user/model\n', 'is no configured engine'],
  ['user/model ', 'is no configured engine'],
  ['usеr/model', 'is no configured engine'], // A Cyrillic letter.
  ['user／model', 'is no configured engine'],
  ['user/mo%2fdel', 'is no configured engine'],
  ['$(id)/model', 'is no configured engine'],
  [`user/${'m'.repeat(97)}`, 'is no configured engine'],
  ['m'.repeat(4_096), 'is longer than 256 characters'],
  ['hf:user', 'expected hf:user/repository'],
  ['hf:../model', 'expected hf:user/repository'],
  ['hf:user/model:../x', 'expected hf:user/repository'],
  [`hf:user/model:${'Q'.repeat(4_096)}`, 'expected hf:user/repository'],
  ['https://example.com/a.gguf', 'must not be an address'],
  ['HTTP://example.com/user/model', 'must not be an address'],
  ['file:///etc/passwd', 'must not be an address'],
  ['s3://bucket/model', 'must not be an address'],
])('%j is refused by name', async (name, words) => {
  await expect(read(name)).rejects.toMatchObject({
    reason: 'INVALID_FIELD',
    message: expect.stringContaining(`model: ${words}`),
    metadata: { field: 'model' },
  });
});
