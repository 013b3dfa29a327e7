import type { Client } from '@connectrpc/connect';
import { pino } from 'pino';
import { beforeEach, describe, expect, test } from 'vitest';
import type { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { describeStores } from '../../test/harness/stores.ts';
import { fromConnectError } from '../shared/errors/connect-error.ts';
import { PEER_PRINCIPAL } from '../shared/interceptors/principal.ts';
import { closeStore, type Store } from '../shared/store/store.ts';
import { createKey, hashKey } from './api-key.ts';
import { type Changes, clientAs, maker, reasonOf } from './auth.fixture.ts';
import { authConfigSchema } from './config.ts';
import { type AuthContext, createAuthContext, ensureAdminKey } from './context.ts';

const pepper = Buffer.alloc(32, 1);
const log = pino({ level: 'silent' });
const tiers = new Set(['standard', 'premium', 'unlimited']);

const IMPORTED = 'sk-imported-from-elsewhere';
const IMPORTED_OF_USER = 'sk-imported-with-its-user';
const PASSWORD_HASH = `$2b$10$${'a'.repeat(53)}`;
const config = authConfigSchema.parse({
  api_keys: [
    { hash: hashKey(IMPORTED, pepper).toString('hex'), organization: 'acme' },
    { hash: hashKey(IMPORTED_OF_USER, pepper).toString('hex'), user: 'dev', organization: 'acme' },
  ],
  users: [
    { name: 'colleague', organization: 'acme', password_hash: PASSWORD_HASH },
    { name: 'stranger', organization: 'other', password_hash: PASSWORD_HASH },
  ],
});

describeStores('auth', (stores) => {
  let store: Store;
  let context: AuthContext;
  let nowMs: number;
  let admin: Client<typeof AuthService>;

  beforeEach(async () => {
    nowMs = Date.parse('2026-11-21T12:00:00Z');
    store = await stores.openEmpty();
    context = createAuthContext(config, { store, pepper, now: () => nowMs, log, tiers });
    admin = clientAs(context, PEER_PRINCIPAL);
  });

  describe('Authenticate', () => {
    test('tells who presents a key of ours', async () => {
      const { secret, apiKey } = await admin.createApiKey({ userId: 'ann', organizationId: 'acme', models: ['chat'] });
      const { principal, cacheFor } = await admin.authenticate({ credential: secret });
      expect(principal).toMatchObject({
        ...{ keyId: apiKey?.keyId, userId: 'ann', organizationId: 'acme', tier: 'standard' },
        ...{ scopes: [Scope.GENERATE], models: ['chat'], kind: 1 },
      });
      expect(cacheFor?.seconds).toBe(60n);
    });

    test('tells who presents a key of the configuration, without the store when it has no user', async () => {
      const { principal } = await admin.authenticate({ credential: IMPORTED_OF_USER });
      expect(principal).toMatchObject({ userId: 'dev', organizationId: 'acme', tier: 'standard', models: ['*'] });
      await closeStore(store);
      expect((await admin.authenticate({ credential: IMPORTED })).principal).toMatchObject({ userId: '' });
      expect(await reasonOf(admin.authenticate({ credential: IMPORTED_OF_USER }))).toBe('STORE_UNAVAILABLE');
    });

    test('answers malformed, unknown, wrong, revoked and expired keys alike', async () => {
      const revoked = await admin.createApiKey({});
      await admin.revokeApiKey({ keyId: revoked.apiKey?.keyId ?? '' });
      const endsAt = { seconds: BigInt(nowMs / 1000 + 10), nanos: 0 };
      const expired = await admin.createApiKey({ expiresAt: endsAt });
      expect(await reasonOf(admin.authenticate({ credential: expired.secret }))).toBe('OK');
      nowMs += 10_000;
      const other = createAuthContext(config, { store, pepper: Buffer.alloc(32, 9), now: () => nowMs, log });
      const good = await admin.createApiKey({});
      const attempts = [
        ...['', 'nonsense', `${good.secret.slice(0, -1)}!`, createKey().secret, revoked.secret, expired.secret].map(
          (credential) => () => admin.authenticate({ credential }),
        ),
        // The id is known, the key is not: as if its secret had been guessed.
        () => clientAs(other, PEER_PRINCIPAL).authenticate({ credential: good.secret }),
      ];
      for (const attempt of attempts) {
        const error = fromConnectError(await attempt().catch((caught: unknown) => caught));
        expect({ ...error, message: error.message }).toMatchObject({
          ...{ reason: 'CREDENTIAL_INVALID', message: 'Invalid API key', metadata: {} },
        });
      }
    });

    test('a malformed key of ours does not reach the store; a well-formed or a foreign one does', async () => {
      const { secret } = createKey();
      await closeStore(store);
      const mistyped = secret.slice(0, -1) + (secret.endsWith('0') ? '1' : '0');
      expect(await reasonOf(admin.authenticate({ credential: mistyped }))).toBe('CREDENTIAL_INVALID');
      expect(await reasonOf(admin.authenticate({ credential: 'sk-unknown' }))).toBe('STORE_UNAVAILABLE');
      expect(await reasonOf(admin.authenticate({ credential: secret }))).toBe('STORE_UNAVAILABLE');
    });

    test('a key that is bound to addresses works from there only and is not cached', async () => {
      const { secret } = await admin.createApiKey({ allowedIpRanges: ['10.1.0.0/16', '2001:db8::/32'] });
      const from = (clientIp: string) => admin.authenticate({ credential: secret, clientIp });
      for (const ip of ['10.1.2.3', '::ffff:10.1.2.3', '2001:db8::7']) {
        expect((await from(ip)).cacheFor).toBeUndefined();
      }
      for (const ip of ['10.2.0.1', '2001:db9::1', '', 'unknown']) {
        expect(await reasonOf(from(ip))).toBe('CREDENTIAL_INVALID');
      }
    });

    test('an answer is not reused beyond the end of the key', async () => {
      const endsAt = { seconds: BigInt(nowMs / 1000 + 2), nanos: 0 };
      const { secret } = await admin.createApiKey({ expiresAt: endsAt });
      expect((await admin.authenticate({ credential: secret })).cacheFor?.seconds).toBe(2n);
    });

    test('the last use is kept, to the minute', async () => {
      const { secret } = await admin.createApiKey({});
      const lastUse = async () => (await admin.listApiKeys({})).apiKeys[0]?.lastUsedAt?.seconds;
      expect(await lastUse()).toBeUndefined();
      const firstMs = nowMs;
      await admin.authenticate({ credential: secret });
      nowMs += 30_000;
      await admin.authenticate({ credential: secret });
      await expect.poll(lastUse).toBe(BigInt(firstMs / 1000));
      nowMs += 30_000;
      await admin.authenticate({ credential: secret });
      await expect.poll(lastUse).toBe(BigInt(nowMs / 1000));
    });
  });

  describe('making keys', () => {
    test.each<[string, Changes, Parameters<Client<typeof AuthService>['createApiKey']>[0], string]>([
      ['its own scopes', {}, { scopes: [Scope.GENERATE, Scope.KEYS_MANAGE] }, 'OK'],
      ['a scope that the maker lacks', {}, { scopes: [Scope.MODELS_MANAGE] }, 'SCOPE_MISSING'],
      ['admin', {}, { scopes: [Scope.ADMIN] }, 'SCOPE_MISSING'],
      ['the default scope, which the maker lacks', { scopes: [Scope.KEYS_MANAGE] }, {}, 'SCOPE_MISSING'],
      ['another organisation', {}, { organizationId: 'other' }, 'SCOPE_MISSING'],
      ['a better tier', {}, { tier: 'unlimited' }, 'SCOPE_MISSING'],
      ['its own tier', { tier: 'premium' }, { tier: 'premium' }, 'OK'],
      ['an unknown tier', {}, { tier: 'gold' }, 'INVALID_FIELD'],
      ['a model that the maker lacks', { models: ['a'] }, { models: ['b'] }, 'SCOPE_MISSING'],
      ['all models, of which the maker has one', { models: ['a'] }, { models: ['*'] }, 'SCOPE_MISSING'],
      ['one of its models', { models: ['a', 'b'] }, { models: ['b'] }, 'OK'],
      ['no range', {}, { allowedIpRanges: ['10.0.0.0/8', '10.0.0.0/33'] }, 'INVALID_FIELD'],
      ['an end in the past', {}, { expiresAt: { seconds: 1n, nanos: 0 } }, 'INVALID_FIELD'],
      ['its own user', {}, { userId: 'maker' }, 'OK'],
      ['a user of its organisation', {}, { userId: 'colleague' }, 'OK'],
      ['a user of another organisation', {}, { userId: 'stranger' }, 'SCOPE_MISSING'],
      ['a user that there is not', {}, { userId: 'nobody' }, 'SCOPE_MISSING'],
      ['any user, by an admin', { scopes: [Scope.ADMIN] }, { userId: 'stranger' }, 'OK'],
      ['anything, by an admin', { scopes: [Scope.ADMIN] }, { tier: 'unlimited', organizationId: 'x' }, 'OK'],
    ])('with %s', async (_what, by, request, expected) => {
      expect(await reasonOf(clientAs(context, maker(by)).createApiKey(request))).toBe(expected);
    });

    test('what is left out comes from the maker, models too', async () => {
      const { apiKey } = await clientAs(context, maker({ models: ['a'] })).createApiKey({});
      expect(apiKey).toMatchObject({ userId: 'maker', organizationId: 'acme', tier: 'standard', models: ['a'] });
    });

    test('the key itself is not kept', async () => {
      const { secret } = await admin.createApiKey({ name: 'kept' });
      const kept = store.kind === 'sqlite' ? dump(store) : JSON.stringify(await store.redis.eval(DUMP, 0));
      expect(kept).toContain('kept');
      expect(kept).not.toContain(secret.slice(20, 40));
    });
  });

  test('keys of another organisation are neither listed nor revoked, nor keys that can do more', async () => {
    const other = await admin.createApiKey({ organizationId: 'other' });
    const strong = await admin.createApiKey({ organizationId: 'acme', scopes: [Scope.ADMIN] });
    const own = await admin.createApiKey({ organizationId: 'acme' });
    const client = clientAs(context, maker());
    const listed = (await client.listApiKeys({})).apiKeys.map(({ keyId }) => keyId);
    expect(listed.sort()).toEqual([strong.apiKey?.keyId, own.apiKey?.keyId].sort());
    expect((await admin.listApiKeys({})).apiKeys).toHaveLength(3);
    expect(await reasonOf(client.listApiKeys({ organizationId: 'other' }))).toBe('SCOPE_MISSING');
    const revoke = (keyId = '') => reasonOf(client.revokeApiKey({ keyId }));
    expect(await revoke(other.apiKey?.keyId)).toBe('NOT_FOUND');
    expect(await revoke('none')).toBe('NOT_FOUND');
    expect(await revoke(strong.apiKey?.keyId)).toBe('SCOPE_MISSING');
    expect(await revoke(own.apiKey?.keyId)).toBe('OK');
    expect(await revoke(own.apiKey?.keyId)).toBe('OK');
  });

  test('the admin key is made once per store, and only its maker learns it', async () => {
    const contexts = await Promise.all(
      Array.from({ length: 6 }, async () =>
        createAuthContext(config, { store: await stores.open(), pepper, now: () => nowMs, log }),
      ),
    );
    const made = (await Promise.all(contexts.map(ensureAdminKey))).filter((key) => key !== undefined);
    expect(made).toHaveLength(1);
    expect(await ensureAdminKey(context)).toBeUndefined();
    const { principal } = await admin.authenticate({ credential: made[0]?.secret ?? '' });
    expect(principal).toMatchObject({ tier: 'unlimited', scopes: [Scope.ADMIN] });
  });
});

const DUMP = `local all = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  all[#all + 1] = key
  if redis.call('TYPE', key).ok == 'hash' then
    for _, value in ipairs(redis.call('HVALS', key)) do all[#all + 1] = value end
  end
end
return all`;

function dump(store: Extract<Store, { kind: 'sqlite' }>): string {
  return JSON.stringify(store.database.prepare('SELECT * FROM auth_keys').all());
}
