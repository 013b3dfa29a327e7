import { expect, test } from 'vitest';
import { withoutSecrets } from './redaction.ts';

const KEY = `im_0123456789AB_${'a'.repeat(49)}`;

test.each([
  [`use ${KEY}, please`, 'use [secret], please'],
  ['Authorization: Bearer abc.def', 'Authorization: [secret]'],
  ['sk-proj-0123456789 and hf_0123456789abc', '[secret] and [secret]'],
  ['t=eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl!', 't=[secret]!'],
  ['redis://:hunter2@10.0.0.7:6379/0', 'redis://[secret]@10.0.0.7:6379/0'],
  ['-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----.', '[secret].'],
])('%j is masked', (text, masked) => {
  expect(withoutSecrets(text)).toBe(masked);
});

test('what is no secret stays', () => {
  const text = 'ask-me, im_port, Qwen/Qwen2.5-7B-Instruct, https://example.com/a@b, a bear, eyJ.';
  expect(withoutSecrets(text)).toBe(text);
});
