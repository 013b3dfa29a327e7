import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runProgram } from '../supervisor/spawn.ts';
import { ggufUnder } from './model-directory.ts';

// The directory is reached through a link, as a data directory on another disk is.
const place = realpathSync(mkdtempSync(join(tmpdir(), 'mesh-models-')));
const root = join(place, 'data', 'models');
const linkedRoot = join(place, 'link', 'models');
const outside = join(place, 'outside');
let socket: Server;

beforeAll(async () => {
  mkdirSync(join(root, 'user--model', 'Q8 0'), { recursive: true });
  mkdirSync(join(root, 'folder.gguf'));
  mkdirSync(outside);
  symlinkSync(join(place, 'data'), join(place, 'link'));
  for (const path of [
    'a.gguf',
    '模型.gguf',
    '--flag.gguf',
    'user--model/Q8 0/b-Q8_0.gguf',
    'user--model/b.gguf.0123456789abcdef.part',
    'a.bin',
    'back\\slash.gguf',
    `${'n'.repeat(250)}.gguf`,
  ]) {
    writeFileSync(join(root, path), 'GGUF and more');
  }
  writeFileSync(join(root, 'pickle.gguf'), 'PK\x03\x04');
  writeFileSync(join(root, 'short.gguf'), 'GGU');
  writeFileSync(join(root, 'empty.gguf'), '');
  writeFileSync(join(outside, 'secret.gguf'), 'GGUF secret');
  symlinkSync(join(outside, 'secret.gguf'), join(root, 'out.gguf'));
  symlinkSync(outside, join(root, 'outdir'));
  symlinkSync('loop.gguf', join(root, 'loop.gguf'));
  symlinkSync('a.gguf', join(root, 'inner.gguf'));
  symlinkSync('gone.gguf', join(root, 'dangling.gguf'));
  symlinkSync('../../outside/secret.gguf', join(root, 'relative.gguf'));
  socket = createServer().listen(join(root, 'socket.gguf'));
  const made = await runProgram('mkfifo', [join(root, 'pipe.gguf')], {
    timeoutMs: 60_000,
    environmentVariable: (name) => process.env[name],
  });
  expect(made.code).toBe(0);
});
afterAll(() => {
  socket.close();
  rmSync(place, { recursive: true });
});

test.each([
  ['a.gguf', 'a.gguf'],
  ['模型.gguf', '模型.gguf'],
  ['--flag.gguf', '--flag.gguf'],
  ['user--model/Q8 0/b-Q8_0.gguf', 'user--model/Q8 0/b-Q8_0.gguf'],
  ['inner.gguf', 'a.gguf'],
  [join(root, 'a.gguf'), 'a.gguf'],
  [join(linkedRoot, 'a.gguf'), 'a.gguf'],
])('%s is a model', async (path, found) => {
  expect(await ggufUnder(linkedRoot, path)).toBe(join(root, found));
});

test.each([
  ['a file that is not there', 'none.gguf'],
  ['another name', 'a.bin'],
  ['an upper-case ending', 'a.GGUF'],
  ['another content', 'pickle.gguf'],
  ['too short a content', 'short.gguf'],
  ['no content', 'empty.gguf'],
  ['a directory', 'folder.gguf'],
  ['a pipe', 'pipe.gguf'],
  ['a socket', 'socket.gguf'],
  ['a download that runs', 'user--model/b.gguf.0123456789abcdef.part'],
  ['a link out', 'out.gguf'],
  ['a relative link out', 'relative.gguf'],
  ['a file in a linked directory', 'outdir/secret.gguf'],
  ['a link to itself', 'loop.gguf'],
  ['a link to nothing', 'dangling.gguf'],
  ['an absolute path elsewhere', join(outside, 'secret.gguf')],
  ['an absolute path that leads out', `${root}/../../outside/secret.gguf`],
  ['a neighbour whose name begins as the directory’s', `${root}x/a.gguf`],
  ['a path that only begins as the directory does', `${root}-a.gguf`],
  ['the directory itself', root],
  ['traversal', '../../outside/secret.gguf'],
  ['traversal that stays inside', 'user--model/../a.gguf'],
  ['traversal with backslashes', '..\\..\\outside\\secret.gguf'],
  ['a backslash', 'back\\slash.gguf'],
  ['traversal in disguise', '%2e%2e/%2e%2e/outside/secret.gguf'],
  ['lookalikes of dots and slashes', '．．／．．／outside／secret.gguf'],
  ['a lookalike ending', 'a․gguf'],
  ['this directory', './a.gguf'],
  ['a doubled slash', 'user--model//b.gguf'],
  ['a NUL', 'a.gguf\0.gguf'],
  ['a NUL at the end', 'a.gguf\0'],
  ['a line break', 'a\n.gguf'],
  ['text that turns its direction', 'a\u202efugg.gguf'],
  ['an address of a file', `file://${root}/a.gguf`],
  ['a home directory', '~/a.gguf'],
  ['a name of 4 KiB', `${'a'.repeat(4_091)}.gguf`],
  ['a path of 4 KiB', `${'a/'.repeat(2_045)}.gguf`],
  ['a longer part than any file has', `${'n'.repeat(300)}.gguf`],
  ['nothing', ''],
  ['only the ending of another path', '/.gguf'],
])('%s is none', async (_what, path) => {
  expect(await ggufUnder(linkedRoot, path)).toBeUndefined();
});

test('a directory that is not there has none', async () => {
  expect(await ggufUnder(join(place, 'nowhere'), 'a.gguf')).toBeUndefined();
});

/** Numbers below `limit` that look random and are the same in every run (mulberry32). */
function numbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

test('whatever is asked for, nothing outside of the directory is ever found', async () => {
  const pieces = [
    ...['/', '/', '/', '..', '..', '.', '\\', '\0', '%2e', '~', ':', '-', '\n', '．', '／'],
    ...[
      'outside',
      'outdir',
      'secret.gguf',
      'out.gguf',
      'a.gguf',
      'user--model',
      'Q8 0',
      'models',
      'data',
      'link',
      '.gguf',
    ],
    ...[place, root, linkedRoot, outside],
  ];
  const next = numbers(5);
  let found = 0;
  for (let round = 0; round < 5_000; round++) {
    let path = '';
    for (let length = 1 + next(8); length > 0; length--) path += pieces[next(pieces.length)];
    if (next(2) === 0) path += '.gguf';
    const model = await ggufUnder(linkedRoot, path);
    if (model === undefined) continue;
    found++;
    expect(realpathSync(model).startsWith(root + sep), path).toBe(true);
  }
  // Else the pieces would prove nothing.
  expect(found).toBeGreaterThan(10);
});
