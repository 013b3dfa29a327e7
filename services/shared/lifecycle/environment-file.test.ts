import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withEnvironmentFile } from './environment-file.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mesh-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function read(text: string, env: Record<string, string> = {}): NodeJS.ProcessEnv {
  const path = join(directory, '.env');
  writeFileSync(path, text);
  return withEnvironmentFile(path, env);
}

test('values, comments, quotes and several lines', () => {
  const text = `# a comment
A=1 # of A
export B='two words'
C="line 1
line = 2 # no comment
"   # after it
D=\`it's "so"\`

  E =  last\r
`;
  expect(read(`\uFEFF${text}`)).toEqual({
    ...{ A: '1', B: 'two words', C: 'line 1\nline = 2 # no comment\n', D: `it's "so"`, E: 'last' },
  });
});

test('the environment comes first, an empty text included', () => {
  expect(read('A=file\nB=file\nC=file\n', { A: 'environment', B: '' })).toEqual({ A: 'environment', B: '', C: 'file' });
});

test('no file, and a directory of that name, are nothing', () => {
  const env = { A: '1' };
  expect(withEnvironmentFile(join(directory, '.env'), env)).toBe(env);
  mkdirSync(join(directory, '.env'));
  expect(withEnvironmentFile(join(directory, '.env'), env)).toBe(env);
});

test.each<[string, string, RegExp]>([
  ['no name', 'A=1\n\nhush-hush\n', /\.env:3: expected NAME=value/],
  ['a name that no variable has', 'A-B=hush\n', /\.env:1: expected NAME=value/],
  ['an open quote', '# x\nA="1\n2"\nB="hush\nC=1\n', /\.env:4: the value begins with " and does not end with it/],
  ['more after the quote', 'A="1\n2"\nB="hush"hush"\n', /\.env:3: something follows the "/],
])('%s is refused with its line, and not quoted', (_name, text, message) => {
  expect(() => read(text)).toThrow(message);
  expect(() => read(text)).not.toThrow(/hush/);
});
