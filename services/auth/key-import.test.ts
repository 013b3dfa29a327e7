import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { describeStores } from '../../test/harness/stores.ts';
import { PEER_PRINCIPAL } from '../shared/interceptors/principal.ts';
import type { Store } from '../shared/store/store.ts';
import { clientAs, reasonOf } from './auth.fixture.ts';
import { authConfigSchema } from './config.ts';
import { type AuthContext, createAuthContext } from './context.ts';

const KEY = 'sk-made-elsewhere-0123456789';
const HERE = { clientIp: '', boundToLoopback: true };

describeStores('imported keys', (stores) => {
  let store: Store;
  let context: AuthContext;
  let nowMs: number;

  beforeEach(async () => {
    nowMs = Date.parse('2026-11-21T12:00:00Z');
    store = await stores.openEmpty();
    context = start(1);
  });

  function start(pepper: number): AuthContext {
    const log = pino({ level: 'silent' });
    return createAuthContext(authConfigSchema.parse({}), {
      ...{ store, pepper: Buffer.alloc(32, pepper), now: () => nowMs, log },
    });
  }

  const authenticate = (credential: string, where = context) => reasonOf(where.authenticate(credential, HERE));

  test('a key of any form is found by its hash', async () => {
    for (const key of [KEY, 'dev', 'im_dev']) {
      expect(await context.keyImport.add({ key, userId: 'ann', tier: 'premium' })).toBe(true);
      const { principal } = await context.authenticate(key, HERE);
      expect(principal).toMatchObject({ userId: 'ann', organizationId: 'default', tier: 'premium' });
      expect(principal.scopes).toEqual([Scope.GENERATE]);
    }
    expect(await authenticate(`${KEY}x`)).toBe('CREDENTIAL_INVALID');
    expect(await authenticate(KEY, start(2))).toBe('CREDENTIAL_INVALID');
  });

  test('the store never sees the key', async () => {
    await context.keyImport.add({ key: KEY, userId: 'ann', tier: 'standard' });
    const { records } = await context.keys.list({ organizationId: '', limit: 10, after: '' }, PEER_PRINCIPAL);
    expect(records).toHaveLength(1);
    expect(JSON.stringify(records)).not.toContain(KEY.slice(3));
  });

  test('importing again changes nothing, also not for a revoked key', async () => {
    expect(await context.keyImport.add({ key: KEY, userId: 'ann', tier: 'standard' })).toBe(true);
    nowMs += 1_000;
    expect(await context.keyImport.add({ key: KEY, userId: 'bob', tier: 'premium' })).toBe(false);
    const { principal } = await context.authenticate(KEY, HERE);
    expect(principal).toMatchObject({ userId: 'ann', tier: 'standard' });
    await context.lifecycle.revoke(principal.keyId, false, PEER_PRINCIPAL);
    expect(await authenticate(KEY)).toBe('CREDENTIAL_INVALID');
    expect(await context.keyImport.add({ key: KEY, userId: 'ann', tier: 'standard' })).toBe(false);
    expect(await authenticate(KEY)).toBe('CREDENTIAL_INVALID');
  });

  test('a rotated one gets a secret of ours and is valid for its grace time', async () => {
    await context.keyImport.add({ key: KEY, userId: 'ann', tier: 'standard' });
    const { keyId } = (await context.authenticate(KEY, HERE)).principal;
    const { secret } = await context.lifecycle.rotate(keyId, 60_000, PEER_PRINCIPAL);
    expect((await context.authenticate(secret, HERE)).principal.keyId).toBe(keyId);
    expect(await authenticate(KEY)).toBe('OK');
    nowMs += 60_000;
    expect(await authenticate(KEY)).toBe('CREDENTIAL_INVALID');
    expect(await authenticate(secret)).toBe('OK');
  });

  test('a weak one counts as such until its secret is replaced or it is revoked', async () => {
    for (const key of ['dev', 'demo', KEY]) await context.keyImport.add({ key, userId: 'ann', tier: 'standard' });
    expect(await context.countWeakKeys()).toBe(2);
    const dev = (await context.authenticate('dev', HERE)).principal.keyId;
    await context.lifecycle.rotate(dev, 60_000, PEER_PRINCIPAL);
    expect(await context.countWeakKeys()).toBe(2);
    nowMs += 60_000;
    expect(await context.countWeakKeys()).toBe(1);
    const demo = (await context.authenticate('demo', HERE)).principal.keyId;
    await context.lifecycle.revoke(demo, false, PEER_PRINCIPAL);
    expect(await context.countWeakKeys()).toBe(0);
  });

  test('it ends with its user', async () => {
    const admin = clientAs(context, PEER_PRINCIPAL);
    await admin.createUser({ userId: 'ann', password: 'correct horse battery' });
    await context.keyImport.add({ key: KEY, userId: 'ann', tier: 'standard' });
    expect(await authenticate(KEY)).toBe('OK');
    await admin.disableUser({ userId: 'ann' });
    expect(await authenticate(KEY)).toBe('CREDENTIAL_INVALID');
  });
});
