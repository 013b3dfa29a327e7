import { hash as makeBcrypt } from '@node-rs/bcrypt';
import { describe, expect, test } from 'vitest';
import { createHashQueue } from './hash-queue.ts';
import { createPasswords, type Derive, deriveArgon2id } from './password.ts';
import { formatArgon2id, isCurrentHash, parsePasswordHash } from './password-hash.ts';

const passwords = createPasswords(createHashQueue({ running: 2, waiting: 64 }));

/** Of the reference implementation of argon2. */
const ARGON2ID_OF_PASSWORD = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';

/** Of crypt_blowfish, the reference for $2a$ and $2b$. */
const BCRYPT_OF_UU = '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW';
const LONG = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored';
const BCRYPT_OF_LONG = '$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui';

test('a new hash is argon2id with our costs and a salt of its own, and verifies its password only', async () => {
  const [first, second] = await Promise.all([passwords.hash('correct horse'), passwords.hash('correct horse')]);
  expect(first).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  expect(second).not.toBe(first);
  expect(await passwords.verify('correct horse', first)).toBe(true);
  expect(await passwords.verify('correct horsf', first)).toBe(false);
  expect(await passwords.verify('', first)).toBe(false);
  expect(isCurrentHash(first)).toBe(true);
});

test.each([
  ['argon2id of other costs', 'password', ARGON2ID_OF_PASSWORD],
  ['bcrypt $2a$', 'U*U', BCRYPT_OF_UU],
  ['bcrypt $2b$', 'U*U', BCRYPT_OF_UU.replace('$2a', '$2b')],
  ['bcrypt of more than 72 bytes', LONG, BCRYPT_OF_LONG],
])('a hash of another system verifies: %s', async (_what, password, hash) => {
  expect(await passwords.verify(password, hash)).toBe(true);
  expect(await passwords.verify(`x${password}`, hash)).toBe(false);
  expect(isCurrentHash(hash)).toBe(false);
});

test('a password of any characters verifies', async () => {
  const password = 'pässwörd 🔑 with spaces\u0000and more';
  expect(await passwords.verify(password, await passwords.hash(password))).toBe(true);
  expect(await passwords.verify(password.split('\u0000')[0] ?? '', await passwords.hash(password))).toBe(false);
});

describe('nobody', () => {
  test.each([undefined, '', 'correct horse', '$argon2id$v=19$m=19456,t=2,p=1$$', '$2y$05$none'])(
    'has the hash %j, and finding out costs as much as a wrong password',
    async (hash) => {
      const costs: unknown[] = [];
      const counting: Derive = (password, recipe, bytes) => {
        costs.push([recipe.memoryKib, recipe.passes, recipe.lanes, recipe.salt.byteLength, bytes]);
        return deriveArgon2id(password, recipe, bytes);
      };
      const counted = createPasswords(createHashQueue({ running: 1, waiting: 1 }), counting);
      const known = await passwords.hash('correct horse');
      expect(await counted.verify('wrong horse', known)).toBe(false);
      expect(await counted.verify('correct horse', hash)).toBe(false);
      expect(costs).toHaveLength(2);
      expect(costs[1]).toEqual(costs[0]);
    },
  );
});

test('the event loop goes on while hashes are computed', async () => {
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  }, 1);
  await Promise.all([passwords.verify('x', ARGON2ID_OF_PASSWORD), passwords.verify('x', await makeBcrypt('y', 10))]);
  clearInterval(timer);
  expect(turns).toBeGreaterThan(3);
});

test.each([
  ['more memory than a check may take', ARGON2ID_OF_PASSWORD.replace('65536', '262145')],
  ['more passes', ARGON2ID_OF_PASSWORD.replace('t=2', 't=17')],
  ['more lanes', ARGON2ID_OF_PASSWORD.replace('p=1', 'p=17')],
  ['no passes', ARGON2ID_OF_PASSWORD.replace('t=2', 't=0')],
  ['too little memory for its lanes', ARGON2ID_OF_PASSWORD.replace('65536', '7')],
  ['argon2i', ARGON2ID_OF_PASSWORD.replace('argon2id', 'argon2i')],
  ['an old version', ARGON2ID_OF_PASSWORD.replace('v=19', 'v=16')],
  ['a bcrypt cost that takes minutes', BCRYPT_OF_UU.replace('$05$', '$16$')],
  ['a bcrypt cost that is none', BCRYPT_OF_UU.replace('$05$', '$03$')],
  ['something before', ` ${BCRYPT_OF_UU}`],
  ['something behind', `${ARGON2ID_OF_PASSWORD}\n`],
])('no hash: %s', (_what, text) => {
  expect(parsePasswordHash(text)).toBeUndefined();
});

test('a hash is written as it was read', () => {
  const hash = parsePasswordHash(ARGON2ID_OF_PASSWORD);
  expect(hash?.kind === 'argon2id' && formatArgon2id(hash)).toBe(ARGON2ID_OF_PASSWORD);
});
