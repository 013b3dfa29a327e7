import { expect, test } from 'vitest';
import { authConfigSchema, namedTiers } from './config.ts';
import { configuredKeys } from './configured-keys.ts';

const hash = 'ab'.repeat(32);

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

test.each([
  ['a key in the clear', { api_keys: [{ hash: 'sk-123' }] }, /64 hex digits/],
  ['one hash twice', { api_keys: [{ hash }, { hash }] }, /one hash/],
  ['an unknown scope', { api_keys: [{ hash, scopes: ['root'] }] }, /generate/],
  ['an unknown field', { api_keys: [{ hash, expires: 'never' }] }, /expires/],
  ['users', { users: [{ name: 'operator' }] }, /not implemented/],
  ['open registration', { open_registration: true }, /not implemented/],
])('%s is refused', (_what, section, message) => {
  expect(() => authConfigSchema.parse(section)).toThrow(message);
});
