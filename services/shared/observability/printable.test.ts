import { expect, test } from 'vitest';
import { printable } from './printable.ts';

test('control characters become escapes, everything else stays', () => {
  expect(printable('a\u001b[31mb\r\u0007\u009bc\u007f\u202edef\u2028g')).toBe(
    'a\\u001b[31mb\\u000d\\u0007\\u009bc\\u007f\\u202edef\\u2028g',
  );
  expect(printable('tab\tline\nÄ 漢 🙂 é')).toBe('tab\tline\nÄ 漢 🙂 é');
});
