import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { describeStores } from '../../test/harness/stores.ts';
import { PEER_PRINCIPAL } from '../shared/interceptors/principal.ts';
import type { Store } from '../shared/store/store.ts';
import { createKey, hashKey } from './api-key.ts';
import { clientAs, reasonOf } from './auth.fixture.ts';
import { authConfigSchema } from './config.ts';
import { type AuthContext, createAuthContext } from './context.ts';

const PASSWORD = 'correct horse battery';
const HERE = { clientIp: '', boundToLoopback: true };
const DAY_MS = 86_400_000;

const pepperOf = (index: number): Buffer => Buffer.alloc(32, index);

describeStores('a new pepper', (stores) => {
  let store: Store;
  let before: AuthContext;
  let nowMs: number;
  /** A key that no store knows, in the configuration by the hash of the first pepper. */
  const configured = createKey().secret;

  beforeEach(async () => {
    nowMs = Date.parse('2026-11-21T12:00:00Z');
    store = await stores.openEmpty();
    before = start(1);
  });

  function start(pepper: number, ...older: number[]): AuthContext {
    const config = authConfigSchema.parse({ api_keys: [{ hash: hashKey(configured, pepperOf(1)).toString('hex') }] });
    return createAuthContext(config, {
      ...{ store, pepper: pepperOf(pepper), olderPeppers: older.map(pepperOf), now: () => nowMs },
      log: pino({ level: 'silent' }),
    });
  }

  const adminOf = (context: AuthContext) => clientAs(context, PEER_PRINCIPAL);
  const stateOf = (context: AuthContext, credential: string) => reasonOf(context.authenticate(credential, HERE));
  const hashOf = async (context: AuthContext, keyId: string) =>
    (await context.keys.list({ organizationId: '', limit: 10, after: '' }, PEER_PRINCIPAL)).records.find(
      (record) => record.keyId === keyId,
    )?.hash;

  test('a key is known by the older one, hashed anew when it is used, and needs the older one no more', async () => {
    const [used, unused] = [await adminOf(before).createApiKey({}), await adminOf(before).createApiKey({})];
    const keyId = used.apiKey?.keyId ?? '';
    const between = start(2, 1);
    const { principal } = await between.authenticate(used.secret, HERE);
    expect(principal.keyId).toBe(keyId);
    const anew = hashKey(used.secret, pepperOf(2)).toString('hex');
    await expect.poll(() => hashOf(between, keyId)).toBe(anew);
    expect(await stateOf(between, used.secret)).toBe('OK');
    // Who verified it before still acts for it, and a process that was not yet restarted knows it.
    expect(await reasonOf(between.revalidate(principal, ''))).toBe('OK');
    expect(await stateOf(before, used.secret)).toBe('OK');

    nowMs += DAY_MS;
    const after = start(2);
    expect(await stateOf(after, used.secret)).toBe('OK');
    expect(await stateOf(after, unused.secret)).toBe('CREDENTIAL_INVALID');
    expect(await stateOf(before, used.secret)).toBe('CREDENTIAL_INVALID');
  });

  test('a key that never ends has no end for processes of either pepper, whichever hash is kept for a while', async () => {
    const made = await adminOf(before).createApiKey({});
    const keyId = made.apiKey?.keyId ?? '';
    const [present, other] = [start(2, 1), start(1, 2)];
    await present.authenticate(made.secret, HERE);
    const anew = hashKey(made.secret, pepperOf(2)).toString('hex');
    await expect.poll(() => hashOf(present, keyId)).toBe(anew);
    const { principal } = await other.authenticate(made.secret, HERE);
    expect(principal.expiresAt).toBeUndefined();
    expect(await hashOf(present, keyId)).toBe(anew);
    nowMs += DAY_MS - 1;
    expect(await reasonOf(other.revalidate(principal, ''))).toBe('OK');
  });

  test('a key that a process of the older pepper hashed back counts for ever, and is hashed anew a day later', async () => {
    const [present, other] = [start(2, 1), start(1, 2)];
    const made = await adminOf(present).createApiKey({});
    const keyId = made.apiKey?.keyId ?? '';
    expect(await stateOf(other, made.secret)).toBe('OK');
    await expect.poll(() => hashOf(present, keyId)).toBe(hashKey(made.secret, pepperOf(1)).toString('hex'));
    expect(await stateOf(present, made.secret)).toBe('OK');
    nowMs += DAY_MS;
    expect(await stateOf(present, made.secret)).toBe('OK');
    await expect.poll(() => hashOf(present, keyId)).toBe(hashKey(made.secret, pepperOf(2)).toString('hex'));
    nowMs += DAY_MS;
    for (const process of [present, other, start(2)]) expect(await stateOf(process, made.secret)).toBe('OK');
  });

  test('a process that makes nothing with the new one yet accepts it', async () => {
    const made = await adminOf(start(2, 1)).createApiKey({});
    expect(await stateOf(before, made.secret)).toBe('CREDENTIAL_INVALID');
    expect(await stateOf(start(1, 2), made.secret)).toBe('OK');
  });

  test('a wrong, revoked or rotated secret stays what it is', async () => {
    const [revoked, rotated] = [await adminOf(before).createApiKey({}), await adminOf(before).createApiKey({})];
    await adminOf(before).revokeApiKey({ keyId: revoked.apiKey?.keyId ?? '' });
    const grace = { seconds: 60n, nanos: 0 };
    const next = await adminOf(before).rotateApiKey({ keyId: rotated.apiKey?.keyId ?? '', grace });
    const between = start(2, 1);
    expect(await stateOf(between, revoked.secret)).toBe('CREDENTIAL_INVALID');
    expect(await stateOf(between, createKey(rotated.apiKey?.keyId).secret)).toBe('CREDENTIAL_INVALID');
    expect(await stateOf(between, rotated.secret)).toBe('OK');
    expect(await stateOf(between, next.secret)).toBe('OK');
    await expect
      .poll(() => hashOf(between, rotated.apiKey?.keyId ?? ''))
      .toBe(hashKey(next.secret, pepperOf(2)).toString('hex'));
    nowMs += 61_000;
    expect(await stateOf(between, rotated.secret)).toBe('CREDENTIAL_INVALID');
    expect(await stateOf(between, next.secret)).toBe('OK');
  });

  test('a secret that leaked ends at once by both hashes', async () => {
    const leaked = await adminOf(before).createApiKey({});
    const keyId = leaked.apiKey?.keyId ?? '';
    const between = start(2, 1);
    expect(await stateOf(between, leaked.secret)).toBe('OK');
    await expect.poll(() => hashOf(between, keyId)).toBe(hashKey(leaked.secret, pepperOf(2)).toString('hex'));
    await adminOf(between).rotateApiKey({ keyId, grace: { seconds: 0n, nanos: 0 } });
    for (const process of [between, before, start(1, 2)]) {
      expect(await stateOf(process, leaked.secret)).toBe('CREDENTIAL_INVALID');
    }
  });

  test('keys of the configuration and imported ones count as long as the older pepper is there', async () => {
    const imported = { key: 'sk-made-elsewhere-0123456789', userId: 'ann', tier: 'standard' };
    expect(await before.keyImport.add(imported)).toBe(true);
    const between = start(3, 2, 1);
    for (const credential of [configured, imported.key]) {
      expect(await stateOf(between, credential)).toBe('OK');
      expect(await stateOf(start(3), credential)).toBe('CREDENTIAL_INVALID');
    }
    expect(await between.keyImport.add(imported)).toBe(false);
  });

  test('logins go on: their tokens verify, are renewed with the new one, and then need the older one no more', async () => {
    await adminOf(before).createUser({ userId: 'ann', password: PASSWORD });
    const login = await adminOf(before).login({ username: 'ann', password: PASSWORD });
    expect(await reasonOf(adminOf(start(2)).login({ username: 'ann', password: PASSWORD }))).not.toBe('OK');
    const between = start(2, 1);
    expect(await stateOf(between, login.accessToken)).toBe('OK');
    const renewed = await adminOf(between).refreshToken({ refreshToken: login.refreshToken });
    await between.signingKeys.replaceLeaked('', false);
    const again = await adminOf(start(2)).refreshToken({ refreshToken: renewed.refreshToken });
    expect(await stateOf(start(2), again.accessToken)).toBe('OK');
  });
});
