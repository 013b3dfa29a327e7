import type { Client } from '@connectrpc/connect';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { CredentialKind, Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { describeStores } from '../../test/harness/stores.ts';
import { PEER_PRINCIPAL } from '../shared/interceptors/principal.ts';
import { closeStore, type Store } from '../shared/store/store.ts';
import { signAccessToken } from './access-token.ts';
import { clientAs, reasonOf } from './auth.fixture.ts';
import { authConfigSchema } from './config.ts';
import { type AuthContext, createAuthContext } from './context.ts';
import type { Revocation } from './revocations.ts';

const pepper = Buffer.alloc(32, 1);
const log = pino({ level: 'silent' });
const PASSWORD = 'correct horse battery';

describeStores('tokens of users', (stores) => {
  let store: Store;
  let context: AuthContext;
  let elsewhere: AuthContext;
  let nowMs: number;
  let auth: Client<typeof AuthService>;
  let revoked: Revocation[];

  function build(on: Store): AuthContext {
    return createAuthContext(authConfigSchema.parse({}), { store: on, pepper, now: () => nowMs, log });
  }

  async function login() {
    return await auth.login({ username: 'ann', password: PASSWORD });
  }

  /** How a credential fares, in every process. */
  async function stateOf(credential: string): Promise<string> {
    const peers = [context, elsewhere].map((each) => clientAs(each, PEER_PRINCIPAL));
    const states = await Promise.all(peers.map((peer) => reasonOf(peer.authenticate({ credential }))));
    return [...new Set(states)].join();
  }

  beforeEach(async () => {
    nowMs = Date.parse('2026-11-21T12:00:00Z');
    store = await stores.openEmpty();
    context = build(store);
    elsewhere = build(await stores.open());
    auth = clientAs(context, PEER_PRINCIPAL);
    await auth.createUser({
      userId: 'ann',
      password: PASSWORD,
      organizationId: 'acme',
      tier: 'premium',
      scopes: [1, 2],
    });
    revoked = [];
    await context.revocations.ready();
    context.revocations.watch(
      (revocation) => revoked.push(revocation),
      () => {},
    );
  });

  afterEach(async () => {
    await Promise.all([context.close(), elsewhere.close()]);
  });

  test('a login gives a token that tells who it is, in every process', async () => {
    const { accessToken, expiresIn } = await login();
    expect(expiresIn?.seconds).toBe(86_400n);
    expect(decodeProtectedHeader(accessToken)).toMatchObject({ alg: 'EdDSA', typ: 'at+jwt' });
    const claims = decodeJwt(accessToken);
    const iat = nowMs / 1_000;
    expect(claims).toMatchObject({
      ...{ sub: 'ann', org: 'acme', tier: 'premium', scope: 'generate models:read', iat, exp: iat + 86_400 },
    });
    const { principal, cacheFor } = await clientAs(elsewhere, PEER_PRINCIPAL).authenticate({ credential: accessToken });
    expect(principal).toMatchObject({
      ...{ keyId: claims.jti, userId: 'ann', organizationId: 'acme', tier: 'premium' },
      ...{ scopes: [Scope.GENERATE, Scope.MODELS_READ], models: [], kind: CredentialKind.ACCESS_TOKEN },
      signingKeyId: decodeProtectedHeader(accessToken).kid,
      expiresAt: { seconds: BigInt(iat + 86_400) },
    });
    expect(cacheFor?.seconds).toBe(60n);
    nowMs += 86_399_000;
    expect((await auth.authenticate({ credential: accessToken })).cacheFor?.seconds).toBe(1n);
    nowMs += 1_000;
    expect(await stateOf(accessToken)).toBe('CREDENTIAL_INVALID');
  });

  test('a wrong password gives none, and no token opens what its form does not fit', async () => {
    const call = auth.login({ username: 'ann', password: 'something else' });
    expect(await reasonOf(call)).toBe('CREDENTIAL_INVALID');
    const { accessToken, refreshToken } = await login();
    expect(await stateOf(refreshToken)).toBe('CREDENTIAL_INVALID');
    expect(await reasonOf(auth.refreshToken({ refreshToken: accessToken }))).toBe('CREDENTIAL_INVALID');
  });

  test('disabling a user ends the tokens at once', async () => {
    const { accessToken, refreshToken } = await login();
    expect(await stateOf(accessToken)).toBe('OK');
    await auth.disableUser({ userId: 'ann' });
    expect(await stateOf(accessToken)).toBe('CREDENTIAL_INVALID');
    expect(await reasonOf(auth.refreshToken({ refreshToken }))).toBe('CREDENTIAL_INVALID');
  });

  test('another password ends the tokens from before, not those from after', async () => {
    const { accessToken, refreshToken } = await login();
    nowMs += 1;
    await auth.setPassword({ userId: 'ann', newPassword: `new ${PASSWORD}` });
    // Within the same second: the claims know no smaller unit.
    const after = await auth.login({ username: 'ann', password: `new ${PASSWORD}` });
    expect(await stateOf(accessToken)).toBe('CREDENTIAL_INVALID');
    expect(await reasonOf(auth.refreshToken({ refreshToken }))).toBe('CREDENTIAL_INVALID');
    expect(await stateOf(after.accessToken)).toBe('OK');
  });

  test('a refresh token is spent for the next one, which goes on as the user is then', async () => {
    const first = await login();
    nowMs += 80_000_000;
    const second = await auth.refreshToken({ refreshToken: first.refreshToken });
    expect(second.refreshToken).not.toBe(first.refreshToken);
    nowMs += 80_000_000;
    expect(await stateOf(second.accessToken)).toBe('OK');
    const third = await clientAs(elsewhere, PEER_PRINCIPAL).refreshToken({ refreshToken: second.refreshToken });
    expect(await stateOf(third.accessToken)).toBe('OK');
    expect(revoked).toEqual([]);
  });

  test('a refresh token used twice ends its family with its access tokens, and no other login', async () => {
    const other = await login();
    const first = await login();
    const second = await auth.refreshToken({ refreshToken: first.refreshToken });
    const third = await auth.refreshToken({ refreshToken: second.refreshToken });
    expect(await reasonOf(auth.refreshToken({ refreshToken: first.refreshToken }))).toBe('CREDENTIAL_INVALID');
    expect(await reasonOf(auth.refreshToken({ refreshToken: third.refreshToken }))).toBe('CREDENTIAL_INVALID');
    for (const { accessToken } of [first, second, third]) expect(await stateOf(accessToken)).toBe('CREDENTIAL_INVALID');
    await expect.poll(() => revoked).toEqual([{ kind: 'user', id: 'ann', cutRunningStreams: false }]);
    expect(await stateOf(other.accessToken)).toBe('OK');
    expect(await reasonOf(auth.refreshToken({ refreshToken: other.refreshToken }))).toBe('OK');
  });

  test('of many who spend one refresh token at once, at most one gets the next', async () => {
    const { refreshToken } = await login();
    const states = await Promise.all(Array.from({ length: 8 }, () => reasonOf(auth.refreshToken({ refreshToken }))));
    expect(states.filter((state) => state === 'OK').length).toBeLessThanOrEqual(1);
  });

  test('a login can be renewed for 30 days', async () => {
    const { refreshToken } = await login();
    nowMs += 30 * 86_400_000;
    expect(await reasonOf(auth.refreshToken({ refreshToken }))).toBe('CREDENTIAL_INVALID');
  });

  test('leaked keys end every token; a new login works at once', async () => {
    const { accessToken, refreshToken } = await login();
    const kid = decodeProtectedHeader(accessToken).kid ?? '';
    const next = await auth.rotateSigningKey({ leaked: true, cutRunningStreams: true });
    expect(next).toMatchObject({ pushPending: false, signsFrom: { seconds: BigInt(nowMs / 1_000) } });
    await expect.poll(() => revoked).toEqual([{ kind: 'signing-key', id: kid, cutRunningStreams: true }]);
    expect(await stateOf(accessToken)).toBe('CREDENTIAL_INVALID');
    const renewed = await auth.refreshToken({ refreshToken });
    expect(await stateOf(renewed.accessToken)).toBe('OK');
    expect(decodeProtectedHeader(renewed.accessToken).kid).toBe(next.signingKeyId);
  });

  test('a rotated key ends no token, and the next one signs after 10 minutes', async () => {
    const before = await login();
    const next = await auth.rotateSigningKey({});
    expect(next.signsFrom?.seconds).toBe(BigInt(nowMs / 1_000 + 600));
    expect(await auth.rotateSigningKey({})).toEqual(next);
    expect(JSON.parse((await auth.getJwks({})).jwks).keys).toHaveLength(2);
    nowMs += 600_000;
    expect(decodeProtectedHeader((await login()).accessToken).kid).toBe(next.signingKeyId);
    expect(await stateOf(before.accessToken)).toBe('OK');
    expect(revoked).toEqual([]);
  });

  test('what is only for leaked keys ends none without that word, and one that is not there is told', async () => {
    const { accessToken } = await login();
    const signingKeyId = decodeProtectedHeader(accessToken).kid ?? '';
    expect(await reasonOf(auth.rotateSigningKey({ signingKeyId }))).toBe('INVALID_FIELD');
    expect(await reasonOf(auth.rotateSigningKey({ cutRunningStreams: true }))).toBe('INVALID_FIELD');
    expect(await reasonOf(auth.rotateSigningKey({ leaked: true, signingKeyId: 'none' }))).toBe('NOT_FOUND');
    expect(await stateOf(accessToken)).toBe('OK');
    expect((await auth.rotateSigningKey({ leaked: true, signingKeyId })).signingKeyId).not.toBe(signingKeyId);
    expect(await stateOf(accessToken)).toBe('CREDENTIAL_INVALID');
  });

  test('a user who is enabled again logs in; what was issued before stays ended', async () => {
    const before = await login();
    await auth.disableUser({ userId: 'ann' });
    nowMs += 1;
    await auth.enableUser({ userId: 'ann' });
    const after = await login();
    // Asking again changes nothing, for tokens either.
    nowMs += 1;
    await auth.enableUser({ userId: 'ann' });
    expect(await stateOf(after.accessToken)).toBe('OK');
    expect(await stateOf(before.accessToken)).toBe('CREDENTIAL_INVALID');
    expect(await reasonOf(auth.refreshToken({ refreshToken: before.refreshToken }))).toBe('CREDENTIAL_INVALID');
    expect(await reasonOf(auth.refreshToken({ refreshToken: after.refreshToken }))).toBe('OK');
  });

  test('made-up tokens and made-up refresh tokens do not reach the store', async () => {
    const { accessToken, refreshToken } = await login();
    const [header, payload, signature] = accessToken.split('.');
    await closeStore(store);
    const madeUp = [`${header}.${payload}.`, `e30.${payload}.${signature}`, `${header}.e30.${signature}`];
    for (const credential of madeUp)
      expect(await reasonOf(auth.authenticate({ credential }))).toBe('CREDENTIAL_INVALID');
    expect(await reasonOf(auth.authenticate({ credential: accessToken }))).toBe('STORE_UNAVAILABLE');
    const letter = refreshToken[40] === 'A' ? 'B' : 'A';
    const forged = `${refreshToken.slice(0, 40)}${letter}${refreshToken.slice(41)}`;
    for (const made of [forged, 'rt_', `${refreshToken}A`, '']) {
      expect(await reasonOf(context.tokens.refresh(made))).toBe('CREDENTIAL_INVALID');
    }
    expect(await reasonOf(auth.refreshToken({ refreshToken }))).toBe('STORE_UNAVAILABLE');
  });

  test('of wrong tokens from one address a few are looked up; expired ones do not count as wrong', async () => {
    const clientIp = '192.0.2.7';
    const expired = await login();
    nowMs += 86_400_000;
    for (let i = 0; i < 30; i += 1) {
      expect(await reasonOf(auth.authenticate({ credential: expired.accessToken, clientIp }))).toBe(
        'CREDENTIAL_INVALID',
      );
    }
    const known = await login();
    expect(await reasonOf(auth.authenticate({ credential: known.accessToken, clientIp }))).toBe('OK');
    const fresh = await login();
    const [header, payload] = fresh.accessToken.split('.');
    for (let i = 0; i < 30; i += 1) {
      const credential = `${header}.${payload}.${Buffer.alloc(64, i).toString('base64url')}`;
      expect(await reasonOf(auth.authenticate({ credential, clientIp }))).toBe('CREDENTIAL_INVALID');
    }
    // Over the limit: what was good here before goes on, what is new is not looked up.
    expect(await reasonOf(auth.authenticate({ credential: known.accessToken, clientIp }))).toBe('OK');
    expect(await reasonOf(auth.authenticate({ credential: fresh.accessToken, clientIp }))).toBe('CREDENTIAL_INVALID');
    expect(await reasonOf(auth.authenticate({ credential: fresh.accessToken, clientIp: '192.0.2.8' }))).toBe('OK');
  });

  test("a token of a login that there was not, though truly signed, doesn't count", async () => {
    const user = await context.users.find('ann');
    const { scopes = [], passwordChangedAtMs = 0 } = user ?? {};
    const token = { tokenId: 'j', userId: 'ann', organizationId: 'acme', tier: 'premium', scopes, passwordChangedAtMs };
    const jwt = await signAccessToken(await context.signingKeys.current(), { ...token, familyId: 'f' }, nowMs);
    expect(await stateOf(jwt)).toBe('CREDENTIAL_INVALID');
  });

  test('everybody may ask for the public keys', async () => {
    const { accessToken } = await login();
    const { keys } = JSON.parse((await auth.getJwks({})).jwks);
    expect(keys).toMatchObject([{ kid: decodeProtectedHeader(accessToken).kid, kty: 'OKP', alg: 'EdDSA', use: 'sig' }]);
  });
});
