import { generateKeyPairSync } from 'node:crypto';
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { describeStores } from '../../test/harness/stores.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import type { Store } from '../shared/store/store.ts';
import { signAccessToken, verifyAccessToken } from './access-token.ts';
import { createRevocationDelivery } from './revocation-delivery.ts';
import { createLocalRevocations, type Revocation } from './revocations.ts';
import { PUBLISH_AHEAD_MS, ROTATE_AFTER_MS, TOKEN_LIFE_MS } from './signing-key-schedule.ts';
import { createSigningKeySeal } from './signing-key-seal.ts';
import { createSigningKeys, type SigningKeys } from './signing-keys.ts';
import { createAuthStores } from './store/auth-stores.ts';
import type { TokenAlgorithm } from './store/signing-key-store.ts';

const PEPPER = Buffer.alloc(32, 1);

const token = {
  ...{ tokenId: 'j', userId: 'ann', organizationId: 'acme', tier: 'standard', scopes: [] },
  ...{ familyId: 'f', passwordChangedAtMs: 0 },
};

describeStores('signing keys in use', (stores) => {
  let nowMs: number;
  let store: Store;
  let keys: SigningKeys;
  let revoked: Revocation[];

  function build(on: Store, { pepper = PEPPER, algorithm = 'EdDSA' as TokenAlgorithm } = {}): SigningKeys {
    const revocations = createLocalRevocations();
    revocations.watch(
      (revocation) => revoked.push(revocation),
      () => {},
    );
    const seal = createSigningKeySeal(pepper);
    return createSigningKeys({
      store: createAuthStores(on).signingKeys,
      seal,
      revocations: createRevocationDelivery({ revocations, log: pino({ level: 'silent' }) }),
      algorithm,
      now: () => nowMs,
    });
  }

  async function jwksKids(of: SigningKeys): Promise<(string | undefined)[]> {
    return (JSON.parse(await of.jwks()) as JSONWebKeySet).keys.map(({ kid }) => kid);
  }

  beforeEach(async () => {
    nowMs = Date.parse('2026-11-21T12:00:00Z');
    revoked = [];
    store = await stores.openEmpty();
    keys = build(store);
  });

  test('processes that start at once agree on the first key', async () => {
    const others = [keys, build(await stores.open()), build(await stores.open())];
    const kids = await Promise.all(others.map(async (each) => (await each.current()).kid));
    expect(new Set(kids).size).toBe(1);
    expect(await jwksKids(keys)).toEqual([kids[0]]);
  });

  test.each(['EdDSA', 'ES256'] as const)(
    'others verify a token of %s with the set, which has no private part',
    async (algorithm) => {
      keys = build(store, { algorithm });
      const key = await keys.current();
      const text = await keys.jwks();
      expect(Object.keys(JSON.parse(text).keys[0]).sort()).toEqual(
        (algorithm === 'EdDSA' ? 'alg crv kid kty use x' : 'alg crv kid kty use x y').split(' '),
      );
      const jwt = await signAccessToken(key, token, nowMs);
      const { payload } = await jwtVerify(jwt, createLocalJWKSet(JSON.parse(text)), { currentDate: new Date(nowMs) });
      expect(payload).toMatchObject({ sub: 'ann', org: 'acme', tier: 'standard', jti: 'j' });
      expect(decodeProtectedHeader(jwt)).toEqual({ alg: algorithm, kid: key.kid, typ: 'at+jwt' });
    },
  );

  test('the next key is published before it signs; tokens of the one before hold until they expire', async () => {
    const first = await keys.current();
    nowMs += ROTATE_AFTER_MS - PUBLISH_AHEAD_MS;
    expect((await keys.current()).kid).toBe(first.kid);
    expect(await jwksKids(keys)).toHaveLength(2);
    nowMs += PUBLISH_AHEAD_MS - 1;
    const jwt = await signAccessToken(await keys.current(), token, nowMs);
    expect(decodeProtectedHeader(jwt).kid).toBe(first.kid);
    nowMs += 1;
    expect((await keys.current()).kid).not.toBe(first.kid);
    nowMs += TOKEN_LIFE_MS - 2_000;
    expect(await verifyAccessToken(jwt, keys, nowMs)).toMatchObject({ userId: 'ann' });
    nowMs += 62_000;
    expect(await keys.find(first.kid)).toBeUndefined();
  });

  test('rotated by hand, the next one signs after 10 minutes; asking twice makes one', async () => {
    const { kid } = await keys.current();
    await keys.rotate();
    await keys.rotate();
    expect(await jwksKids(keys)).toHaveLength(2);
    expect((await keys.current()).kid).toBe(kid);
    nowMs += 600_000;
    expect((await keys.current()).kid).not.toBe(kid);
    expect(revoked).toEqual([]);
  });

  test('leaked keys end at once in every process, and everybody is told', async () => {
    const elsewhere = build(await stores.open());
    const { kid } = await elsewhere.current();
    const jwt = await signAccessToken(await keys.current(), token, nowMs);
    expect(await verifyAccessToken(jwt, elsewhere, nowMs)).toBeDefined();
    await keys.replaceLeaked('', true);
    expect(await verifyAccessToken(jwt, elsewhere, nowMs)).toBeUndefined();
    expect(revoked).toEqual([{ kind: 'signing-key', id: kid, cutRunningStreams: true }]);
    expect(await jwksKids(elsewhere)).toEqual([(await keys.current()).kid]);
  });

  test('one leaked key ends alone, whether it signs or is to sign next; another takes its place at once', async () => {
    const first = await keys.current();
    const jwt = await signAccessToken(first, token, nowMs);
    await keys.rotate();
    nowMs += PUBLISH_AHEAD_MS;
    const second = await keys.current();
    const { kid: third } = await keys.rotate();
    expect(new Set([first.kid, second.kid, third]).size).toBe(3);
    const fourth = await keys.replaceLeaked(second.kid, false);
    expect(revoked).toEqual([{ kind: 'signing-key', id: second.kid, cutRunningStreams: false }]);
    expect((await keys.current()).kid).toBe(fourth.kid);
    expect(await keys.find(second.kid)).toBeUndefined();
    expect(await verifyAccessToken(jwt, keys, nowMs)).toMatchObject({ signingKeyId: first.kid });
    const fifth = await keys.replaceLeaked(third, false);
    nowMs += PUBLISH_AHEAD_MS;
    expect((await keys.current()).kid).toBe(fifth.kid);
    for (const gone of [second.kid, third, 'none']) {
      await expect(keys.replaceLeaked(gone, false)).rejects.toMatchObject({ reason: 'NOT_FOUND' });
    }
    expect(revoked).toHaveLength(2);
  });

  test('the store has no private key in the clear, and no use for whoever has another pepper', async () => {
    const key = await keys.current();
    const { keys: records } = await createAuthStores(store).signingKeys.load();
    const { d } = key.privateKey.export({ format: 'jwk' });
    const der = Buffer.from(records[0]?.sealed ?? '', 'base64url');
    expect(der.includes(Buffer.from(String(d), 'base64url'))).toBe(false);
    const other = build(await stores.open(), { pepper: Buffer.alloc(32, 2) });
    await expect(other.current()).rejects.toThrow(MeshError);
    expect(await other.find(key.kid)).toBeUndefined();
    expect(await jwksKids(other)).toEqual([]);
  });
});

test('a sealed key opens under its own name only, and not when it was changed', () => {
  const seal = createSigningKeySeal(PEPPER);
  const sealed = seal.seal(generateKeyPairSync('ed25519').privateKey, 'a');
  expect(seal.open(sealed, 'a')?.asymmetricKeyType).toBe('ed25519');
  expect(seal.open(sealed, 'b')).toBeUndefined();
  expect(seal.open(`${sealed.slice(0, 30)}${sealed[30] === 'A' ? 'B' : 'A'}${sealed.slice(31)}`, 'a')).toBeUndefined();
  expect(seal.open('', 'a')).toBeUndefined();
});
