import { expect, test } from 'vitest';
import { readHubSettings } from './hub-settings.ts';
import { parseHubReference } from './reference.ts';

test('a reference has a user, a repository and perhaps a quantization', () => {
  expect(parseHubReference('hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF')).toMatchObject({
    user: 'Qwen',
    repository: 'Qwen2.5-0.5B-Instruct-GGUF',
    quantization: undefined,
  });
  expect(parseHubReference('hf:a_b/_c:UD-Q4_K_XL')).toMatchObject({
    user: 'a_b',
    repository: '_c',
    quantization: 'UD-Q4_K_XL',
  });
});

test.each([
  'hf:',
  'hf:model',
  'hf:user/',
  'hf:/model',
  'hf:user/model:',
  'hf:user/model/file.gguf',
  'hf:user/model:../x',
  'hf:../model',
  'hf:user/..',
  'hf:user/.',
  'hf:user/a..b',
  'hf:us--er/model',
  'hf:user/-model',
  'hf:user/model\n',
  'hf:user/mo%2fdel',
  'hf:user\\x/model',
  `hf:user/${'x'.repeat(97)}`,
  'hf://user/model',
])('%j is refused', (text) => {
  expect(parseHubReference(text)).toBeUndefined();
});

test('the settings are those of the hub’s own clients', () => {
  const read = (variables: Record<string, string>) => readHubSettings((name) => variables[name]);
  expect(read({})).toEqual({ endpoint: 'https://huggingface.co', token: undefined, offline: false });
  expect(read({ HF_ENDPOINT: 'http://h:1/mirror/', HF_TOKEN: ' hf_x\n', HF_HUB_OFFLINE: '1' })).toEqual({
    endpoint: 'http://h:1/mirror',
    token: 'hf_x',
    offline: true,
  });
  for (const wrong of ['h', 'ftp://h', 'http://ann:secret@h', 'http://h?x=1']) {
    expect(() => read({ HF_ENDPOINT: wrong })).toThrow(/^HF_ENDPOINT: expected/);
  }
  expect(() => read({ HF_TOKEN: 'hf_a\nhf_b' })).toThrow(/^HF_TOKEN: (?!.*hf_)/);
});
