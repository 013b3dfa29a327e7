import { expect, test } from 'vitest';
import { chooseFiles } from './choice.ts';

function chosen(paths: readonly string[], quantization?: string): readonly string[] | string {
  const listed = paths.map((path) => ({ path, sizeBytes: 1, sha256: '' }));
  const choice = chooseFiles(listed, quantization);
  return 'problem' in choice ? choice.problem : choice.files.map(({ path }) => path);
}

const QWEN = ['fp16', 'q2_k', 'q4_0', 'q4_k_m', 'q8_0'].map((name) => `qwen2.5-0.5b-instruct-${name}.gguf`);
const PARTS = [1, 2, 3].map((part) => `Q8_0/big-Q8_0-0000${part}-of-00003.gguf`);

test.each<[string, readonly string[], string | undefined, readonly string[]]>([
  ['Q4_K_M where none is named', QWEN, undefined, ['qwen2.5-0.5b-instruct-q4_k_m.gguf']],
  ['Q8_0 next', ['a-F16.gguf', 'a-Q8_0.gguf'], undefined, ['a-Q8_0.gguf']],
  ['else the first', ['b-Q5_K_M.gguf', 'a-F16.gguf', 'README.md'], undefined, ['a-F16.gguf']],
  ['the one that is named, in whatever case', QWEN, 'Q2_k', ['qwen2.5-0.5b-instruct-q2_k.gguf']],
  ['a name as a whole', ['a-BF16.gguf', 'a-F16.gguf'], 'f16', ['a-F16.gguf']],
  [
    'no companion',
    ['mmproj-Q8_0.gguf', 'mtp-a-Q8_0.gguf', 'x-imatrix.gguf', 'z-Q8_0.gguf'],
    undefined,
    ['z-Q8_0.gguf'],
  ],
  ['a name with a prefix', ['a-UD-Q4_K_XL.gguf', 'a-Q8_0.gguf'], 'Q4_K_XL', ['a-UD-Q4_K_XL.gguf']],
  ['a name in a directory', ['Q6_K/a.gguf', 'Q8_0/a.gguf'], 'Q8_0', ['Q8_0/a.gguf']],
  ['all parts, the first one first', [...PARTS].reverse(), undefined, PARTS],
])('%s', (_name, paths, quantization, files) => {
  expect(chosen(paths, quantization)).toEqual(files);
});

test('what cannot be chosen says what there is', () => {
  expect(chosen(QWEN, 'Q3_K_S')).toBe(
    "the repository has no quantization 'Q3_K_S'; it has fp16, q2_k, q4_0, q4_k_m, q8_0",
  );
  expect(chosen(['model.safetensors', 'mmproj.gguf'])).toContain('no GGUF file, or none with a checksum');
  expect(chosen([PARTS[0] ?? '', PARTS[2] ?? ''])).toContain('lacks Q8_0/big-Q8_0-00002-of-00003.gguf');
});
