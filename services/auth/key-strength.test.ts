import { expect, test } from 'vitest';
import { createKey } from './api-key.ts';
import { isWeakKey } from './key-strength.ts';

test.each([
  ['', true],
  ['dev-key-123', true],
  ['sk-local-0000000000000001', false],
  // Exactly 128 bits of hexadecimal, and one digit less.
  ['00112233445566778899aabbccddeeff', false],
  ['00112233445566778899aabbccddeef', true],
  // 38 digits have 126 bits, 39 have 129.
  ['12345678901234567890123456789012345678', true],
  ['123456789012345678901234567890123456789', false],
  ['a'.repeat(100), true],
  ['abababab'.repeat(8), true],
  ['abababab'.repeat(16), false],
  [createKey().secret, false],
])('%s: %s', (key, isWeak) => {
  expect(isWeakKey(key)).toBe(isWeak);
});
