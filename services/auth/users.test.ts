import type { Client } from '@connectrpc/connect';
import { pino } from 'pino';
import { beforeEach, describe, expect, test } from 'vitest';
import type { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { describeStores } from '../../test/harness/stores.ts';
import { PEER_PRINCIPAL } from '../shared/interceptors/principal.ts';
import type { Store } from '../shared/store/store.ts';
import { hashKey } from './api-key.ts';
import { clientAs, maker, reasonOf } from './auth.fixture.ts';
import { authConfigSchema } from './config.ts';
import { type AuthContext, createAuthContext } from './context.ts';
import type { Revocation } from './revocations.ts';
import { createAuthStores } from './store/auth-stores.ts';

const pepper = Buffer.alloc(32, 1);
const log = pino({ level: 'silent' });
const tiers = new Set(['standard', 'premium', 'free', 'unlimited']);
const PASSWORD = 'correct horse battery';
const OTHER = 'another fine password';
const HOME = '192.0.2.1';

/** Of no password that anybody knows. */
const HASH = '$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
const KEY = 'sk-configured-key-of-the-operator';

const config = authConfigSchema.parse({
  organizations: [{ id: 'acme', tier: 'premium' }],
  users: [{ name: 'operator', password_hash: HASH, organization: 'acme' }],
  api_keys: [{ hash: hashKey(KEY, pepper).toString('hex'), user: 'operator' }],
});

describeStores('users', (stores) => {
  let store: Store;
  let context: AuthContext;
  let nowMs: number;
  let admin: Client<typeof AuthService>;

  const contextOn = (of: Store): AuthContext =>
    createAuthContext(config, { store: of, pepper, now: () => nowMs, log, tiers });

  beforeEach(async () => {
    nowMs = Date.parse('2026-11-21T12:00:00Z');
    store = await stores.openEmpty();
    context = contextOn(store);
    admin = clientAs(context, PEER_PRINCIPAL);
  });

  /** What is told while `work` runs. */
  async function revocationsOf(work: () => Promise<unknown>): Promise<Revocation[]> {
    const told: Revocation[] = [];
    await context.revocations.ready();
    const leave = context.revocations.watch(
      (revocation) => told.push(revocation),
      () => {},
    );
    await work();
    await expect.poll(() => told.length).toBeGreaterThan(0);
    leave();
    return told;
  }

  test('a user that was made logs in, also at another process', async () => {
    const { user } = await admin.createUser({ userId: 'ann', password: PASSWORD, organizationId: 'other' });
    expect(user).toMatchObject({ userId: 'ann', organizationId: 'other', tier: 'standard', scopes: [Scope.GENERATE] });
    expect(user?.createdAt?.seconds).toBe(BigInt(nowMs / 1000));
    const elsewhere = contextOn(await stores.open());
    expect(await elsewhere.verifyLogin('ann', PASSWORD, HOME)).toMatchObject({ userId: 'ann', tier: 'standard' });
  });

  test('what is left out comes from the organisation, of the file or of the store, and the defaults', async () => {
    await admin.createOrganization({ organizationId: 'stored', tier: 'free' });
    const tierIn = async (userId: string, organizationId: string) =>
      (await admin.createUser({ userId, password: PASSWORD, organizationId })).user;
    expect(await tierIn('a', 'acme')).toMatchObject({ tier: 'premium' });
    expect(await tierIn('b', 'stored')).toMatchObject({ tier: 'free' });
    expect(await tierIn('c', '')).toMatchObject({ tier: 'standard', organizationId: 'default' });
    const given = await admin.createUser({
      ...{ userId: 'd', password: PASSWORD, organizationId: 'acme', tier: 'unlimited' },
      scopes: [Scope.ADMIN, Scope.ADMIN],
    });
    expect(given.user).toMatchObject({ tier: 'unlimited', scopes: [Scope.ADMIN] });
  });

  test.each<[string, Parameters<Client<typeof AuthService>['createUser']>[0], string]>([
    ['the name of another', { userId: 'ann' }, 'ALREADY_EXISTS'],
    ['a name of the configuration', { userId: 'operator' }, 'ALREADY_EXISTS'],
    ['an unknown tier', { tier: 'gold' }, 'INVALID_FIELD tier'],
    ['a name with control characters', { userId: 'a\r\nb' }, 'INVALID_FIELD user_id'],
    ['such an organisation', { organizationId: 'a\u0000b' }, 'INVALID_FIELD organization_id'],
    ['a password of few characters', { password: 'abababababababab' }, 'INVALID_FIELD password'],
    ['its name as password', { userId: 'annabel-lee', password: '2Annabel-Lee!' }, 'INVALID_FIELD password'],
  ])('none is made with %s', async (_what, request, expected) => {
    await admin.createUser({ userId: 'ann', password: PASSWORD });
    const made = admin.createUser({ userId: 'new', password: PASSWORD, ...request });
    const error = await made.catch((caught: unknown) => caught);
    expect(`${await reasonOf(made)} ${String(error)}`).toMatch(
      new RegExp(`^${expected.split(' ')[0]} .*${expected.split(' ')[1] ?? ''}`),
    );
    expect(await context.users.find('new')).toBeUndefined();
  });

  test('one of many that ask for a name at once gets it', async () => {
    const asked = Array.from({ length: 6 }, () => reasonOf(admin.createUser({ userId: 'ann', password: PASSWORD })));
    expect((await Promise.all(asked)).sort()).toEqual([...Array(5).fill('ALREADY_EXISTS'), 'OK']);
  });

  test('neither passwords nor hashes are listed or shown', async () => {
    const made = await admin.createUser({ userId: 'ann', password: PASSWORD });
    const shown = JSON.stringify([made.user, (await admin.listUsers({})).users], (_key, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value,
    );
    expect(shown).toContain('ann');
    expect(shown).not.toMatch(/argon2|correct/);
  });

  describe('SetPassword', () => {
    beforeEach(async () => {
      await admin.createUser({ userId: 'ann', password: PASSWORD, organizationId: 'acme' });
      nowMs += 1_000;
    });
    const ann = () => clientAs(context, maker({ userId: 'ann', scopes: [Scope.GENERATE] }));
    const logsInWith = async (password: string) =>
      await reasonOf(context.verifyLogin('ann', password, `192.0.2.${password.length}`));

    test("one's own, with the current one; everybody is told", async () => {
      const told = await revocationsOf(() => ann().setPassword({ currentPassword: PASSWORD, newPassword: OTHER }));
      expect(told).toEqual([{ kind: 'user', id: 'ann', cutRunningStreams: false }]);
      expect(await logsInWith(OTHER)).toBe('OK');
      expect(await logsInWith(PASSWORD)).toBe('CREDENTIAL_INVALID');
      expect((await context.users.find('ann'))?.passwordChangedAtMs).toBe(nowMs);
    });

    test('without the current one nothing changes, and guesses are limited as logins are', async () => {
      const guess = (currentPassword: string) => reasonOf(ann().setPassword({ currentPassword, newPassword: OTHER }));
      const guesses = Array.from({ length: 10 }, (_, i) => guess(i === 0 ? '' : `guess ${i}`));
      expect(new Set(await Promise.all(guesses))).toEqual(new Set(['CREDENTIAL_INVALID']));
      expect(await guess(PASSWORD)).toBe('CREDENTIAL_INVALID');
      nowMs += 60_000;
      expect(await logsInWith(PASSWORD)).toBe('OK');
    });

    test("another's needs admin, and then no current one", async () => {
      const request = { userId: 'ann', currentPassword: PASSWORD, newPassword: OTHER };
      const bob = maker({ userId: 'bob', scopes: [Scope.GENERATE, Scope.KEYS_MANAGE] });
      expect(await reasonOf(clientAs(context, bob).setPassword(request))).toBe('SCOPE_MISSING');
      expect(await reasonOf(clientAs(context, bob).setPassword({ ...request, userId: 'none' }))).toBe('SCOPE_MISSING');
      expect(await logsInWith(PASSWORD)).toBe('OK');
      expect(await reasonOf(admin.setPassword({ userId: 'ann', newPassword: OTHER }))).toBe('OK');
      expect(await logsInWith(OTHER)).toBe('OK');
    });

    test.each<[string, Parameters<Client<typeof AuthService>['setPassword']>[0], string]>([
      ['of nobody', { userId: 'none' }, 'NOT_FOUND'],
      ['of a caller without a user', {}, 'INVALID_FIELD'],
      ['of a user of the configuration', { userId: 'operator' }, 'CONFLICT'],
      ['that is too weak', { userId: 'ann', newPassword: 'aaaaaaaaaaaaaaaaaa' }, 'INVALID_FIELD'],
    ])('refuses one %s', async (_what, request, expected) => {
      expect(await reasonOf(admin.setPassword({ newPassword: OTHER, ...request }))).toBe(expected);
    });
  });

  describe('DisableUser', () => {
    test('ends logins and all keys of the user at once, here and elsewhere, and everybody is told', async () => {
      await admin.createUser({ userId: 'ann', password: PASSWORD });
      const { secret } = await admin.createApiKey({ userId: 'ann' });
      const { secret: another } = await admin.createApiKey({ userId: 'bob' });
      expect(await reasonOf(admin.authenticate({ credential: secret }))).toBe('OK');
      const told = await revocationsOf(async () => {
        const { user } = await admin.disableUser({ userId: 'ann' });
        expect(user?.disabledAt?.seconds).toBe(BigInt(nowMs / 1000));
      });
      expect(told).toEqual([{ kind: 'user', id: 'ann', cutRunningStreams: true }]);
      const elsewhere = contextOn(await stores.open());
      for (const { authenticate, verifyLogin } of [context, elsewhere]) {
        expect(await reasonOf(authenticate(secret, { clientIp: '' }))).toBe('CREDENTIAL_INVALID');
        expect(await reasonOf(verifyLogin('ann', PASSWORD, HOME))).toBe('CREDENTIAL_INVALID');
        expect(await reasonOf(authenticate(another, { clientIp: '' }))).toBe('OK');
      }
      // A key that is made for the user later is no way around it.
      const later = await admin.createApiKey({ userId: 'ann' });
      expect(await reasonOf(admin.authenticate({ credential: later.secret }))).toBe('CREDENTIAL_INVALID');
    });

    test('twice is no error and keeps the first time; the name is not given again', async () => {
      await admin.createUser({ userId: 'ann', password: PASSWORD });
      const first = await admin.disableUser({ userId: 'ann' });
      nowMs += 60_000;
      expect((await admin.disableUser({ userId: 'ann' })).user).toEqual(first.user);
      expect(await reasonOf(admin.createUser({ userId: 'ann', password: PASSWORD }))).toBe('ALREADY_EXISTS');
      expect(await reasonOf(admin.setPassword({ userId: 'ann', newPassword: OTHER }))).toBe('OK');
      expect(await reasonOf(context.verifyLogin('ann', OTHER, HOME))).toBe('CREDENTIAL_INVALID');
      expect(await reasonOf(admin.disableUser({ userId: 'none' }))).toBe('NOT_FOUND');
    });

    test('ends a user of the configuration too, with the keys of the configuration, also after a start anew', async () => {
      expect(await reasonOf(admin.authenticate({ credential: KEY }))).toBe('OK');
      expect((await admin.disableUser({ userId: 'operator' })).user).toMatchObject({
        userId: 'operator',
        tier: 'premium',
      });
      for (const each of [context, contextOn(await stores.open())]) {
        expect(await reasonOf(each.authenticate(KEY, { clientIp: '' }))).toBe('CREDENTIAL_INVALID');
        expect((await each.users.find('operator'))?.disabledAtMs).toBe(nowMs);
      }
    });
  });

  describe('EnableUser', () => {
    test('lets a user in again, with the keys that were not revoked, in every process', async () => {
      const { user } = await admin.createUser({ userId: 'ann', password: PASSWORD });
      const kept = await admin.createApiKey({ userId: 'ann' });
      const revoked = await admin.createApiKey({ userId: 'ann' });
      await admin.revokeApiKey({ keyId: revoked.apiKey?.keyId ?? '' });
      await admin.disableUser({ userId: 'ann' });
      nowMs += 60_000;
      expect((await admin.enableUser({ userId: 'ann' })).user).toEqual(user);
      for (const each of [context, contextOn(await stores.open())]) {
        expect(await reasonOf(each.verifyLogin('ann', PASSWORD, HOME))).toBe('OK');
        const peer = clientAs(each, PEER_PRINCIPAL);
        expect(await reasonOf(peer.authenticate({ credential: kept.secret }))).toBe('OK');
        expect(await reasonOf(peer.authenticate({ credential: revoked.secret }))).toBe('CREDENTIAL_INVALID');
      }
      expect((await admin.listUsers({})).users.map(({ disabledAt }) => disabledAt)).toEqual([undefined, undefined]);
      expect(await reasonOf(admin.createUser({ userId: 'ann', password: PASSWORD }))).toBe('ALREADY_EXISTS');
    });

    test('twice is no error; who was never there is not found; who was never disabled stays as it is', async () => {
      await admin.createUser({ userId: 'ann', password: PASSWORD });
      const before = await context.users.find('ann');
      nowMs += 60_000;
      for (let i = 0; i < 2; i += 1) expect(await reasonOf(admin.enableUser({ userId: 'ann' }))).toBe('OK');
      expect(await context.users.find('ann')).toEqual(before);
      expect(await reasonOf(admin.enableUser({ userId: 'none' }))).toBe('NOT_FOUND');
    });

    test('a user of the configuration too; tokens from before are ended also there', async () => {
      const before = await context.users.find('operator');
      await admin.disableUser({ userId: 'operator' });
      nowMs += 60_000;
      await admin.enableUser({ userId: 'operator' });
      expect(await reasonOf(admin.authenticate({ credential: KEY }))).toBe('OK');
      const again = await contextOn(await stores.open()).users.find('operator');
      expect(before).toMatchObject({ disabledAtMs: undefined, passwordChangedAtMs: 0 });
      expect(again).toMatchObject({ disabledAtMs: undefined, passwordChangedAtMs: nowMs });
    });
  });

  test('lists all users by name, those of the configuration among them, by page and organisation', async () => {
    for (const userId of ['zoe', 'paul', 'ann', 'bob']) await admin.createUser({ userId, password: PASSWORD });
    await admin.disableUser({ userId: 'bob' });
    await admin.disableUser({ userId: 'operator' });
    for (const pageSize of [1, 2, 3, 4, 5, 0]) {
      const names: string[] = [];
      let pageToken = '';
      do {
        const page = await admin.listUsers({ pageSize, pageToken });
        expect(page.users.length).toBeLessThanOrEqual(pageSize || 100);
        names.push(...page.users.map(({ userId, disabledAt }) => (disabledAt ? `${userId} -` : userId)));
        pageToken = page.nextPageToken;
      } while (pageToken);
      expect(names).toEqual(['ann', 'bob -', 'operator -', 'paul', 'zoe']);
    }
    const ofAcme = await admin.listUsers({ organizationId: 'acme' });
    expect(ofAcme.users.map(({ userId, createdAt }) => [userId, createdAt])).toEqual([['operator', undefined]]);
    expect(await reasonOf(admin.listUsers({ pageToken: '!' }))).toBe('INVALID_FIELD');
  });

  test('a user of the store whose name the configuration took stays out of its organisation, and out of the order', async () => {
    const userConfig = [...config.users, { ...config.users[0], name: 'yves', organization: 'default' }];
    const taken = authConfigSchema.parse({ users: userConfig });
    for (const userId of ['ann', 'paul', 'zoe']) await admin.createUser({ userId, password: PASSWORD });
    const times = { createdAtMs: 1, passwordChangedAtMs: 1 };
    const shadowed = { userId: 'operator', organizationId: 'default', tier: 'free', scopes: [Scope.GENERATE] };
    await createAuthStores(store).users.add({ ...shadowed, passwordHash: HASH, ...times });
    const client = clientAs(createAuthContext(taken, { store, pepper, now: () => nowMs, log }), PEER_PRINCIPAL);
    const names: string[] = [];
    let pageToken = '';
    do {
      const page = await client.listUsers({ organizationId: 'default', pageSize: 1, pageToken });
      names.push(...page.users.map(({ userId }) => userId));
      pageToken = page.nextPageToken;
    } while (pageToken);
    expect(names).toEqual(['ann', 'paul', 'yves', 'zoe']);
  });

  describe('organisations', () => {
    test('one is made once, and not over one of the configuration', async () => {
      const { organization } = await admin.createOrganization({ organizationId: 'new', tier: 'free' });
      expect(organization).toMatchObject({ organizationId: 'new', tier: 'free' });
      expect(organization?.createdAt?.seconds).toBe(BigInt(nowMs / 1000));
      nowMs += 1_000;
      expect(await reasonOf(admin.createOrganization({ organizationId: 'new', tier: 'free' }))).toBe('ALREADY_EXISTS');
      expect(await reasonOf(admin.createOrganization({ organizationId: 'acme' }))).toBe('ALREADY_EXISTS');
      expect(await reasonOf(admin.createOrganization({ organizationId: 'x', tier: 'gold' }))).toBe('INVALID_FIELD');
      expect(await reasonOf(admin.createOrganization({ organizationId: 'x\n' }))).toBe('INVALID_FIELD');
      const plain = await admin.createOrganization({ organizationId: 'plain' });
      expect(plain.organization?.tier).toBe('standard');
    });

    test('those of the configuration and of the store are listed together, page by page', async () => {
      for (const organizationId of ['zoo', 'aaa', 'new'])
        await admin.createOrganization({ organizationId, tier: 'free' });
      const seen: string[] = [];
      for (let pageToken = ''; ; ) {
        const { organizations, nextPageToken } = await admin.listOrganizations({ pageSize: 1, pageToken });
        seen.push(...organizations.map((one) => `${one.organizationId} ${one.tier} ${one.createdAt !== undefined}`));
        pageToken = nextPageToken;
        if (pageToken === '') break;
      }
      expect(seen).toEqual(['aaa free true', 'acme premium false', 'new free true', 'zoo free true']);
      expect(await reasonOf(admin.listOrganizations({ pageToken: '%' }))).toBe('INVALID_FIELD');
    });

    test('its tier is that of its new keys, whoever of it makes them; another tier still needs admin', async () => {
      await admin.createOrganization({ organizationId: 'new', tier: 'free' });
      const makerOf = (organizationId: string) => clientAs(context, maker({ organizationId, tier: 'standard' }));
      expect((await makerOf('new').createApiKey({})).apiKey?.tier).toBe('free');
      expect((await makerOf('acme').createApiKey({})).apiKey?.tier).toBe('premium');
      expect((await makerOf('acme').createApiKey({ tier: 'premium' })).apiKey?.tier).toBe('premium');
      expect(await reasonOf(makerOf('new').createApiKey({ tier: 'premium' }))).toBe('SCOPE_MISSING');
    });
  });
});
