import type { Client } from '@connectrpc/connect';
import { pino } from 'pino';
import { beforeEach, describe, expect, test } from 'vitest';
import type { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { describeStores } from '../../test/harness/stores.ts';
import { PEER_PRINCIPAL } from '../shared/interceptors/principal.ts';
import { type Changes, clientAs, maker, reasonOf } from './auth.fixture.ts';
import { authConfigSchema } from './config.ts';
import { type AuthContext, createAuthContext } from './context.ts';
import { previousSecrets } from './key-lifecycle.ts';
import type { Revocation } from './revocations.ts';

const HOUR_MS = 3_600_000;

describeStores('the life of keys', (stores) => {
  let context: AuthContext;
  let admin: Client<typeof AuthService>;
  let nowMs: number;
  let told: Revocation[];

  beforeEach(async () => {
    nowMs = Date.parse('2026-11-21T12:00:00Z');
    const resources = { store: await stores.openEmpty(), pepper: Buffer.alloc(32, 1), now: () => nowMs };
    context = createAuthContext(authConfigSchema.parse({}), { ...resources, log: pino({ level: 'silent' }) });
    admin = clientAs(context, PEER_PRINCIPAL);
    told = [];
    await context.revocations.ready();
    context.revocations.watch(
      (revocation) => told.push(revocation),
      () => {},
    );
    return () => context.close();
  });

  const check = (credential: string) => admin.authenticate({ credential });
  const seconds = (count: number) => ({ seconds: BigInt(count), nanos: 0 });

  async function newKey(request: Parameters<typeof admin.createApiKey>[0] = {}) {
    const { apiKey, secret } = await admin.createApiKey({ organizationId: 'acme', ...request });
    return { keyId: apiKey?.keyId ?? '', secret };
  }

  test('a rotated key has a new secret under its id; the old one ends after the grace time', async () => {
    const { keyId, secret } = await newKey({ userId: 'ann', models: ['chat'] });
    const rotated = await admin.rotateApiKey({ keyId, grace: seconds(30) });
    expect(rotated.secret).toMatch(new RegExp(`^im_${keyId}_`));
    expect(rotated.secret).not.toBe(secret);
    expect(rotated.apiKey).toMatchObject({ keyId, userId: 'ann', models: ['chat'] });
    const fresh = await check(rotated.secret);
    expect(fresh.principal).toMatchObject({ keyId, userId: 'ann', models: ['chat'] });
    expect(fresh.cacheFor?.seconds).toBe(60n);
    const old = await check(secret);
    expect(old.principal?.keyId).toBe(keyId);
    expect(old.principal?.expiresAt?.seconds).toBe(BigInt(nowMs / 1_000 + 30));
    expect(old.cacheFor?.seconds).toBe(30n);
    nowMs += 29_999;
    expect(await reasonOf(check(secret))).toBe('OK');
    nowMs += 1;
    expect(await reasonOf(check(secret))).toBe('CREDENTIAL_INVALID');
    expect(await reasonOf(check(rotated.secret))).toBe('OK');
  });

  test('without a grace time the old secret has a day, with one of 0 it ends now; caches are told each time', async () => {
    const { keyId, secret } = await newKey();
    const second = await admin.rotateApiKey({ keyId });
    nowMs += 24 * HOUR_MS - 1;
    expect(await reasonOf(check(secret))).toBe('OK');
    const third = await admin.rotateApiKey({ keyId, grace: seconds(0) });
    for (const ended of [secret, second.secret]) expect(await reasonOf(check(ended))).toBe('CREDENTIAL_INVALID');
    expect(await reasonOf(check(third.secret))).toBe('OK');
    const revocation = { kind: 'key', id: keyId, cutRunningStreams: false };
    await expect.poll(() => told).toEqual([revocation, revocation]);
  });

  test('a rotation whose answer was lost and that is done again leaves the secret in use alone', async () => {
    const { keyId, secret } = await newKey();
    await admin.rotateApiKey({ keyId, grace: seconds(60) });
    const again = await admin.rotateApiKey({ keyId, grace: seconds(60) });
    expect(await reasonOf(check(secret))).toBe('OK');
    expect(await reasonOf(check(again.secret))).toBe('OK');
  });

  test('of rotations at the same time each tells a secret that works, or that it failed', async () => {
    const { keyId } = await newKey();
    const rotations = await Promise.allSettled(Array.from({ length: 4 }, () => admin.rotateApiKey({ keyId })));
    const secrets = rotations.flatMap((one) => (one.status === 'fulfilled' ? [one.value.secret] : []));
    expect(secrets.length).toBeGreaterThan(0);
    for (const secret of secrets) expect(await reasonOf(check(secret))).toBe('OK');
  });

  test('what has ended is not rotated, and an old secret ends with its key', async () => {
    const { keyId, secret } = await newKey();
    const rotated = await admin.rotateApiKey({ keyId });
    await admin.revokeApiKey({ keyId });
    for (const ended of [secret, rotated.secret]) expect(await reasonOf(check(ended))).toBe('CREDENTIAL_INVALID');
    expect(await reasonOf(admin.rotateApiKey({ keyId }))).toBe('CONFLICT');
    const expiring = await newKey({ expiresAt: seconds(nowMs / 1_000 + 1) });
    nowMs += 1_000;
    expect(await reasonOf(admin.rotateApiKey({ keyId: expiring.keyId }))).toBe('CONFLICT');
    expect(await reasonOf(admin.rotateApiKey({ keyId: 'none' }))).toBe('NOT_FOUND');
  });

  describe('whoever rotates a key gets what it can do', () => {
    test.each<[string, Changes, Parameters<Client<typeof AuthService>['createApiKey']>[0], string]>([
      ['of the own organisation', {}, {}, 'OK'],
      ['of another organisation', {}, { organizationId: 'other' }, 'NOT_FOUND'],
      ['with a scope that the caller lacks', {}, { scopes: [Scope.ADMIN] }, 'SCOPE_MISSING'],
      ['with a tier that the caller lacks', {}, { tier: 'unlimited' }, 'SCOPE_MISSING'],
      ['with all models, of which the caller has one', { models: ['a'] }, {}, 'SCOPE_MISSING'],
      ['with another model', { models: ['a'] }, { models: ['b'] }, 'SCOPE_MISSING'],
      ['with a model of the caller', { models: ['a', 'b'] }, { models: ['b'] }, 'OK'],
      ['with anything, by an admin', { scopes: [Scope.ADMIN] }, { organizationId: 'o', tier: 'unlimited' }, 'OK'],
    ])('a key %s', async (_what, by, request, expected) => {
      const { keyId } = await newKey(request);
      expect(await reasonOf(clientAs(context, maker(by)).rotateApiKey({ keyId }))).toBe(expected);
    });
  });

  test('a revocation is told, each time that it is asked for', async () => {
    const { keyId } = await newKey();
    await admin.revokeApiKey({ keyId });
    await admin.revokeApiKey({ keyId, cutRunningStreams: true });
    await expect.poll(() => told.length).toBe(2);
    expect(told.map(({ cutRunningStreams }) => cutRunningStreams)).toEqual([false, true]);
  });
});

test('only so many secrets are valid at once, and none longer than the last grace time allows', () => {
  let key: Parameters<typeof previousSecrets>[0] = { hash: 'h0', previous: [] };
  for (let i = 1; i <= 6; i += 1) key = { hash: `h${i}`, previous: previousSecrets(key, i, 1_000) };
  expect(key.previous.map(({ hash }) => hash)).toEqual(['h2', 'h3', 'h4', 'h5']);
  const short = previousSecrets(key, 6, 10);
  expect(short.map(({ validUntilMs }) => validUntilMs)).toEqual([16, 16, 16, 16]);
  expect(previousSecrets(key, 6, 0)).toEqual([]);
});
