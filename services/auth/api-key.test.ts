import { expect, test } from 'vitest';
import { createKey, hashKey, isSameHash, parseKey } from './api-key.ts';

const pepper = Buffer.alloc(32, 7);

test('a key is im_<public id>_<secret><checksum> and names its id', () => {
  const { keyId, secret } = createKey();
  expect(secret).toMatch(/^im_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/);
  expect(parseKey(secret)).toEqual({ keyId });
});

test('no two keys share an id or a secret, and every character turns up', () => {
  const keys = Array.from({ length: 2_000 }, createKey);
  expect(new Set(keys.map(({ keyId }) => keyId)).size).toBe(keys.length);
  expect(new Set(keys.map(({ secret }) => secret.slice(16))).size).toBe(keys.length);
  expect(new Set(keys.flatMap(({ secret }) => [...secret.slice(16)])).size).toBe(62);
});

test('every changed character is noticed', () => {
  const { secret } = createKey();
  for (let i = 3; i < secret.length; i += 1) {
    if (secret[i] === '_') continue;
    const changed = `${secret.slice(0, i)}${secret[i] === 'a' ? 'b' : 'a'}${secret.slice(i + 1)}`;
    expect(parseKey(changed)).toBe('malformed');
  }
});

test('keys of another form are left to their hash', () => {
  for (const other of ['', 'im_', 'sk-1234', `${createKey().secret}x`, 'a'.repeat(8_000)]) {
    expect(parseKey(other)).toBeUndefined();
  }
});

test('the hash depends on the pepper', () => {
  const { secret } = createKey();
  expect(isSameHash(hashKey(secret, pepper), hashKey(secret, pepper))).toBe(true);
  expect(isSameHash(hashKey(secret, pepper), hashKey(secret, Buffer.alloc(32, 8)))).toBe(false);
  expect(isSameHash(hashKey(secret, pepper), new Uint8Array(3))).toBe(false);
});
