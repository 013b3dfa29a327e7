import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { Client } from '@connectrpc/connect';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { CredentialKind, type Principal, PrincipalSchema, Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { describeStores } from '../../test/harness/stores.ts';
import { identityOf } from '../shared/interceptors/on-behalf-of.ts';
import { PEER_PRINCIPAL } from '../shared/interceptors/principal.ts';
import type { Store } from '../shared/store/store.ts';
import { hashKey } from './api-key.ts';
import { type Changes, clientAs, reasonOf } from './auth.fixture.ts';
import { authConfigSchema } from './config.ts';
import { type AuthContext, createAuthContext } from './context.ts';
import { createAuthStores } from './store/auth-stores.ts';

const pepper = Buffer.alloc(32, 1);
const log = pino({ level: 'silent' });
const PASSWORD = 'correct horse battery';
const CONFIGURED = 'sk-configured-0123456789abcdef0123456789';
const OF_ENVIRONMENT = 'sk-environment-0123456789abcdef0123456789';

const config = authConfigSchema.parse({
  api_keys: [{ hash: hashKey(CONFIGURED, pepper).toString('hex'), user: 'dev', organization: 'acme' }],
});

describeStores('a caller who was verified before', (stores) => {
  let store: Store;
  let context: AuthContext;
  let nowMs: number;
  let auth: Client<typeof AuthService>;

  beforeEach(async () => {
    nowMs = Date.parse('2026-11-21T12:00:00Z');
    store = await stores.openEmpty();
    const environmentKeys = [OF_ENVIRONMENT];
    context = createAuthContext(config, { store, pepper, now: () => nowMs, log, environmentKeys });
    auth = clientAs(context, PEER_PRINCIPAL);
    await auth.createUser({
      userId: 'ann',
      password: PASSWORD,
      organizationId: 'acme',
      tier: 'premium',
      scopes: [1, 2],
    });
  });
  afterEach(() => context.close());

  /** What travels of whoever presents a credential. */
  async function verified(credential: string, clientIp = ''): Promise<Principal> {
    const { principal } = await auth.authenticate({ credential, clientIp });
    return identityOf(principal ?? expect.fail('nobody'));
  }

  async function login(): Promise<Principal> {
    return await verified((await auth.login({ username: 'ann', password: PASSWORD })).accessToken);
  }

  const still = (principal: Principal, clientIp = '') => reasonOf(auth.authenticate({ principal, clientIp }));
  const as = (principal: Principal, changes: Changes) => create(PrincipalSchema, { ...principal, ...changes });

  test('has the rights of the credential, whatever is claimed', async () => {
    const key = await auth.createApiKey({ userId: 'ann', organizationId: 'acme', models: ['chat'] });
    const credentials = [key.secret, CONFIGURED, OF_ENVIRONMENT];
    credentials.push((await auth.login({ username: 'ann', password: PASSWORD })).accessToken);
    for (const credential of credentials) {
      const told = await auth.authenticate({ credential });
      const claimed = as(identityOf(told.principal ?? expect.fail('nobody')), {
        ...{ scopes: [Scope.ADMIN], tier: 'unlimited', models: ['*'], organizationId: 'other' },
      });
      expect(await auth.authenticate({ principal: claimed })).toEqual(told);
    }
  });

  test('ends with the key: revoked, expired, its user disabled, or used from elsewhere', async () => {
    const endsAt = timestampFromMs(nowMs + 10_000);
    const [revoked, expiring, ofUser, bound] = await Promise.all([
      auth.createApiKey({}),
      auth.createApiKey({ expiresAt: endsAt }),
      auth.createApiKey({ userId: 'ann' }),
      auth.createApiKey({ allowedIpRanges: ['198.51.100.0/24'] }),
    ]);
    const who = [revoked, expiring, ofUser].map(({ secret }) => verified(secret));
    const principals = await Promise.all([...who, verified(CONFIGURED)]);
    for (const principal of principals) expect(await still(principal)).toBe('OK');
    const inside = await verified(bound.secret, '198.51.100.7');
    expect(await still(inside, '198.51.100.8')).toBe('OK');
    expect((await auth.authenticate({ principal: inside, clientIp: '198.51.100.8' })).cacheFor).toBeUndefined();
    expect(await still(inside, '203.0.113.1')).toBe('CREDENTIAL_INVALID');
    expect(await still(inside)).toBe('CREDENTIAL_INVALID');
    await auth.revokeApiKey({ keyId: revoked.apiKey?.keyId ?? '' });
    await auth.disableUser({ userId: 'ann' });
    await createAuthStores(store).users.disable('dev', nowMs);
    nowMs += 10_000;
    for (const principal of principals) expect(await still(principal)).toBe('CREDENTIAL_INVALID');
  });

  test('ends when the secret that was presented does, and no rotation makes it longer', async () => {
    const { secret, apiKey } = await auth.createApiKey({});
    await auth.rotateApiKey({ keyId: apiKey?.keyId ?? '', grace: { seconds: 10n } });
    const old = await verified(secret);
    expect(await still(old)).toBe('OK');
    expect((await auth.authenticate({ principal: old })).cacheFor?.seconds).toBe(10n);
    nowMs += 10_000;
    expect(await still(old)).toBe('CREDENTIAL_INVALID');
    const leaked = await auth.createApiKey({});
    const before = await verified(leaked.secret);
    const rotated = await auth.rotateApiKey({ keyId: leaked.apiKey?.keyId ?? '', grace: { seconds: 0n } });
    expect(await still(before)).toBe('CREDENTIAL_INVALID');
    expect(await still(await verified(rotated.secret))).toBe('OK');
    const longer = await auth.createApiKey({});
    const unaware = await verified(longer.secret);
    await auth.rotateApiKey({ keyId: longer.apiKey?.keyId ?? '', grace: { seconds: 10n } });
    expect((await auth.authenticate({ principal: unaware })).cacheFor?.seconds).toBe(10n);
    nowMs += 10_000;
    expect(await still(unaware)).toBe('CREDENTIAL_INVALID');
  });

  test('ends with the token: expired, another password, its login or its signing key ended, its user disabled', async () => {
    const changes: [string, () => Promise<unknown>][] = [
      ['another password', () => auth.setPassword({ userId: 'ann', newPassword: `${PASSWORD}!` })],
      ['a leaked signing key', () => auth.rotateSigningKey({ leaked: true })],
      ['a disabled user', () => auth.disableUser({ userId: 'ann' })],
    ];
    const principal = await login();
    expect(await still(principal)).toBe('OK');
    expect(await still(as(principal, { loginId: '' }))).toBe('CREDENTIAL_INVALID');
    expect(await still(as(principal, { signingKeyId: '' }))).toBe('CREDENTIAL_INVALID');
    let password = PASSWORD;
    for (const [what, change] of changes) {
      const { accessToken } = await auth.login({ username: 'ann', password });
      const before = await verified(accessToken);
      expect(await still(before), what).toBe('OK');
      nowMs += 1;
      await change();
      expect(await still(before), what).toBe('CREDENTIAL_INVALID');
      if (what === 'another password') password = `${PASSWORD}!`;
    }
  });

  test('a token that is used up ends with its time, and its login with a stolen refresh token', async () => {
    const tokens = await auth.login({ username: 'ann', password: PASSWORD });
    const principal = await verified(tokens.accessToken);
    await auth.refreshToken({ refreshToken: tokens.refreshToken });
    expect(await still(principal)).toBe('OK');
    expect(await reasonOf(auth.refreshToken({ refreshToken: tokens.refreshToken }))).toBe('CREDENTIAL_INVALID');
    expect(await still(principal)).toBe('CREDENTIAL_INVALID');
    const late = await login();
    nowMs += 86_400_000;
    expect(await still(late)).toBe('CREDENTIAL_INVALID');
  });

  test('nobody else is made out of one', async () => {
    const { secret } = await auth.createApiKey({ userId: 'ann' });
    const key = await verified(secret);
    const token = await login();
    const configured = await verified(CONFIGURED);
    for (const claimed of [
      as(key, { userId: 'bob' }),
      as(key, { userId: '' }),
      as(key, { keyId: 'unknown' }),
      as(key, { keyId: '' }),
      as(key, { secretId: '' }),
      as(key, { kind: CredentialKind.ACCESS_TOKEN }),
      as(key, { kind: CredentialKind.PEER }),
      as(key, { kind: CredentialKind.UNSPECIFIED }),
      as(token, { userId: 'bob' }),
      as(token, { kind: CredentialKind.API_KEY }),
      as(configured, { userId: 'ann' }),
      as(configured, { keyId: 'config-000000000000' }),
    ]) {
      expect(await still(claimed), JSON.stringify(claimed.keyId)).toBe('CREDENTIAL_INVALID');
    }
    expect(await reasonOf(auth.authenticate({ principal: key, credential: secret }))).toBe('INVALID_FIELD');
  });
});
