import { expect, test } from 'vitest';
import { authConfigSchema, namedTiers } from './config.ts';
import { configuredKeys } from './configured-keys.ts';
import { configuredUsers } from './configured-users.ts';

const hash = 'ab'.repeat(32);
const argon2id = `$argon2id$v=19$m=19456,t=2,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`;
const bcrypt = '$2b$12$'.padEnd(60, 'C');

test('a key takes what is left out from its organisation and the defaults', () => {
  const config = authConfigSchema.parse({
    organizations: [{ id: 'acme', tier: 'premium' }],
    api_keys: [
      { hash: hash.toUpperCase(), user: 'dev-team', organization: 'acme' },
      { hash: 'cd'.repeat(32), tier: 'free', scopes: ['admin', 'models:read'], models: ['chat'] },
    ],
  });
  const [first, second] = [...configuredKeys(config).values()];
  expect(first).toMatchObject({
    userId: 'dev-team',
    organizationId: 'acme',
    tier: 'premium',
    models: ['*'],
    scopes: [1],
  });
  expect(second).toMatchObject({ userId: '', organizationId: 'default', tier: 'free', scopes: [6, 2] });
  expect(namedTiers(config)).toEqual([
    { path: 'auth.api_keys.1.tier', tier: 'free' },
    { path: 'auth.organizations.0.tier', tier: 'premium' },
  ]);
});

test('a user takes what is left out from its organisation and the defaults', () => {
  const config = authConfigSchema.parse({
    organizations: [{ id: 'acme', tier: 'premium' }],
    users: [
      { name: 'operator', password_hash: argon2id, organization: 'acme' },
      { name: 'imported', password_hash: bcrypt, tier: 'free', scopes: ['admin'] },
    ],
  });
  const users = configuredUsers(config);
  expect(users.get('operator')).toMatchObject({
    ...{ organizationId: 'acme', tier: 'premium', scopes: [1], passwordHash: argon2id },
  });
  expect(users.get('imported')).toMatchObject({
    ...{ organizationId: 'default', tier: 'free', scopes: [6], passwordHash: bcrypt },
  });
  expect(namedTiers(config)).toEqual([
    { path: 'auth.users.1.tier', tier: 'free' },
    { path: 'auth.organizations.0.tier', tier: 'premium' },
  ]);
});

test('a refused password is not shown', () => {
  const { error } = authConfigSchema.safeParse({
    users: [{ name: 'ann', password_hash: 'hunter2', password: 'hunter2' }],
  });
  expect(JSON.stringify(error)).not.toContain('hunter2');
});

test.each([
  ['a key in the clear', { api_keys: [{ hash: 'sk-123' }] }, /64 hex digits/],
  ['one hash twice', { api_keys: [{ hash }, { hash }] }, /one hash/],
  ['an unknown scope', { api_keys: [{ hash, scopes: ['root'] }] }, /generate/],
  ['an unknown field', { api_keys: [{ hash, expires: 'never' }] }, /expires/],
  ['a password as a hash', { users: [{ name: 'ann', password_hash: 'correct horse' }] }, /users hash/],
  ['a hash that costs too much', { users: [{ name: 'ann', password_hash: bcrypt.replace('12', '31') }] }, /cost 15/],
  ['a password', { users: [{ name: 'ann', password_hash: bcrypt, password: 'correct horse' }] }, /users hash/],
  ['a user without a hash', { users: [{ name: 'ann' }] }, /password_hash/],
  ['an unknown field of a user', { users: [{ name: 'ann', password_hash: bcrypt, email: 'x' }] }, /email/],
  [
    'one user twice',
    {
      users: [
        { name: 'ann', password_hash: bcrypt },
        { name: 'ann', password_hash: argon2id },
      ],
    },
    /one name/,
  ],
])('%s is refused', (_what, section, message) => {
  expect(() => authConfigSchema.parse(section)).toThrow(message);
});
