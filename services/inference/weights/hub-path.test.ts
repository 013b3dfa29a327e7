import { expect, test } from 'vitest';
import { hubPathSchema } from './hub-path.ts';

test.each(['a.gguf', 'Q8 0/a.gguf', 'ä/模型.gguf', 'folder/verified.json', 'folder/.lock', '.gitattributes'])(
  '%j is a path',
  (path) => {
    expect(hubPathSchema.safeParse(path).success).toBe(true);
  },
);

const NONE = [
  ...['', '/a', 'a/', 'a//b', '.', './a', '../a', 'a/../../b', 'a\\..\\b', 'C:a'],
  ...['a\0', 'a\n', 'a\x1b[2J', 'a\x7f', 'a\x80', 'a\x9b2J', 'a\x9f'],
  ...['a\u200eb', 'a\u200fb', 'a\u202ab', 'a\u202efugg.b', 'a\u2066b', 'a\u2069b'],
  ...['verified.json', 'verified.json/a.gguf', 'Q8_0.Verified.json/a.gguf', 'verified.json.new/a.gguf'],
  ...['.lock', '.lock/a.gguf', '.LOCK/a.gguf', '.lock-journal/a.gguf'],
  'a'.repeat(513),
];

test.each(NONE.map((path) => [encodeURIComponent(path), path]))('%s is none', (_name, path) => {
  expect(hubPathSchema.safeParse(path).success).toBe(false);
});
