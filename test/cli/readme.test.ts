import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { BEGIN, comparable, END, record } from './recording.ts';

test('README.md shows what the command line does; else: npm run recording', async () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const shown = readme.split(BEGIN)[1]?.split(END)[0] ?? '';
  expect(comparable(await record())).toBe(comparable(shown));
});
