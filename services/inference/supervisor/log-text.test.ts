import { expect, test } from 'vitest';
import { createLogText, LINE_LIMIT } from './log-text.ts';

test('secrets are masked, those that are given and those that look like one', () => {
  const { clean } = createLogText(['s3cr3t', '', 's3cr3t-and-more']);
  expect(clean('key=s3cr3t HF=hf_abcdefghijk Authorization: Bearer xyz')).toBe(
    'key=[secret] HF=[secret] Authorization: [secret]',
  );
  expect(clean('s3cr3t-and-more')).toBe('[secret]');
});

test('colours are taken out, also where they hide a secret', () => {
  expect(createLogText(['s3cr3t']).clean('\x1b[31mERROR\x1b[0m s3c\x1b[1mr3t')).toBe('ERROR [secret]');
});

test('no part of a secret is left where a line is cut', () => {
  const secret = 'q'.repeat(400);
  const { clean, needed } = createLogText([secret]);
  // The reader gives what it has of the line, which may end in the middle of a secret.
  for (let before = 0; before <= 4 * secret.length; before += 50) {
    for (const length of [needed, needed + 1, needed + 5_000]) {
      const line = `${secret.repeat(3)}${'-'.repeat(needed - before)}${secret.repeat(20)}`.slice(0, length);
      const text = clean(line);
      expect(text.includes('q')).toBe(false);
      expect(text.length).toBeLessThanOrEqual(LINE_LIMIT);
    }
  }
});
