import { beforeEach, expect, test } from 'vitest';
import { describeStores } from '../../../test/harness/stores.ts';
import type { Store } from '../../shared/store/store.ts';
import type { KeyRecord } from './key-store.ts';
import { createRedisKeyStore } from './redis-key-store.ts';
import { createRedisUserStore } from './redis-user-store.ts';
import { createSqliteKeyStore } from './sqlite-key-store.ts';
import { createSqliteUserStore } from './sqlite-user-store.ts';
import type { UserRecord, UserStore } from './user-store.ts';

function userStore(store: Store): UserStore {
  return store.kind === 'sqlite' ? createSqliteUserStore(store) : createRedisUserStore(store);
}

function record(userId: string, changes: Partial<UserRecord> = {}): UserRecord {
  return {
    ...{ userId, organizationId: 'acme', tier: 'standard', scopes: [1], passwordHash: '$argon2id$first' },
    ...{ previous: [], createdAtMs: 1_000, passwordChangedAtMs: 1_000 },
    ...changes,
  };
}

describeStores('users', (stores) => {
  let store: Store;
  let users: UserStore;
  beforeEach(async () => {
    store = await stores.openEmpty();
    users = userStore(store);
  });

  test('a user is found as it was added, also through another connection', async () => {
    const added = record('ann', { models: ['chat'] });
    expect(await users.add(added)).toBe(true);
    expect(await userStore(await stores.open()).find('ann')).toEqual(added);
    expect(await users.find('Ann')).toBeUndefined();
  });

  test('adding the same again changes nothing, another user of the name is refused', async () => {
    expect(await users.add(record('ann'))).toBe(true);
    expect(await users.add(record('ann'))).toBe(true);
    expect(await users.add(record('ann', { tier: 'premium' }))).toBe(false);
    expect(await users.add(record('ann', { passwordHash: '$argon2id$other' }))).toBe(false);
    expect(await users.add(record('ann', { organizationId: 'other' }))).toBe(false);
    expect(await users.find('ann')).toEqual(record('ann'));
    expect((await users.list({ organizationId: 'other', limit: 10 })).records).toEqual([]);
  });

  test('a password is set for users that exist', async () => {
    await users.add(record('ann'));
    expect(await users.setPassword('ann', '$argon2id$second', 5_000)).toBe(true);
    expect(await users.find('ann')).toMatchObject({ passwordHash: '$argon2id$second', passwordChangedAtMs: 5_000 });
    expect(await users.setPassword('none', '$argon2id$second', 5_000)).toBe(false);
    expect(await users.find('none')).toBeUndefined();
  });

  test('a hash is upgraded only while the password is the same', async () => {
    await users.add(record('ann', { passwordHash: '$2b$old' }));
    await users.upgradeHash('ann', '$2b$other', '$argon2id$lost');
    expect((await users.find('ann'))?.passwordHash).toBe('$2b$old');
    await users.upgradeHash('ann', '$2b$old', '$argon2id$new');
    expect(await users.find('ann')).toMatchObject({ passwordHash: '$argon2id$new', passwordChangedAtMs: 1_000 });
    await users.upgradeHash('none', '', '$argon2id$new');
    expect(await users.find('none')).toBeUndefined();
  });

  test('a name is disabled once, also one without a record, and is never given again', async () => {
    await users.add(record('ann'));
    expect(await users.disabledAtMs('ann')).toBeUndefined();
    expect(await users.disable('ann', 7_000)).toBe(7_000);
    expect(await users.disable('ann', 9_000)).toBe(7_000);
    expect(await users.disabledAtMs('ann')).toBe(7_000);
    expect((await users.find('ann'))?.disabledAtMs).toBe(7_000);
    expect((await users.list({ limit: 10 })).records[0]?.disabledAtMs).toBe(7_000);
    await users.disable('configured', 8_000);
    expect(await users.disabledAtMs('configured')).toBe(8_000);
    expect(await users.add(record('configured'))).toBe(false);
    expect(await users.find('configured')).toBeUndefined();
  });

  test('a disabled name is enabled again; what was issued before stays ended', async () => {
    await users.add(record('ann'));
    await users.enable('ann', 5_000);
    expect(await users.find('ann')).toEqual(record('ann'));
    expect(await users.stateOf('ann')).toEqual({});
    for (const name of ['ann', 'configured']) {
      await users.disable(name, 7_000);
      expect(await users.stateOf(name)).toEqual({ disabledAtMs: 7_000 });
      await users.enable(name, 9_000);
      await users.enable(name, 9_500);
      expect(await users.stateOf(name)).toEqual({ enabledAtMs: 9_000 });
      expect(await users.disabledAtMs(name)).toBeUndefined();
    }
    expect(await users.find('ann')).toEqual(record('ann', { passwordChangedAtMs: 9_000 }));
    // A clock that went back: the tokens from before end all the same.
    await users.disable('ann', 8_000);
    await users.enable('ann', 8_500);
    expect(await users.find('ann')).toEqual(record('ann', { passwordChangedAtMs: 9_001 }));
    expect(await users.disable('ann', 11_000)).toBe(11_000);
  });

  test('a key is found with the state of its user', async () => {
    const keys = store.kind === 'sqlite' ? createSqliteKeyStore(store) : createRedisKeyStore(store);
    const key: KeyRecord = {
      ...{ keyId: 'k1', hash: 'ab', name: '', userId: 'ann', organizationId: 'acme', tier: 'standard' },
      ...{ scopes: [1], models: [], allowedIpRanges: [], createdAtMs: 1, previous: [] },
    };
    await keys.add(key);
    await keys.add({ ...key, keyId: 'k2', userId: '' });
    expect((await keys.find('k1'))?.userDisabledAtMs).toBeUndefined();
    await users.disable('ann', 7_000);
    expect(await keys.find('k1')).toEqual({ ...key, userDisabledAtMs: 7_000 });
    expect((await keys.find('k2'))?.userDisabledAtMs).toBeUndefined();
  });

  test('lists by name, by page and by organisation', async () => {
    for (const name of ['dora', 'ann', 'élan', 'Zoe', 'bob']) await users.add(record(name));
    await users.add(record('carl', { organizationId: 'other' }));
    const names: string[] = [];
    let after: string | undefined;
    do {
      const page = await users.list({ organizationId: 'acme', limit: 2, after });
      names.push(...page.records.map(({ userId }) => userId));
      after = page.next;
    } while (after);
    expect(names).toEqual(['Zoe', 'ann', 'bob', 'dora', 'élan']);
    const all = await users.list({ limit: 6 });
    expect(all.records.map(({ userId }) => userId)).toEqual(['Zoe', 'ann', 'bob', 'carl', 'dora', 'élan']);
    expect(all.next).toBeUndefined();
    await expect(users.list({ limit: 1, after: '!' })).rejects.toMatchObject({ reason: 'INVALID_FIELD' });
  });

  test('names from outside name nothing else', async () => {
    await users.add(record('ann'));
    for (const name of ["'; DROP TABLE auth_users; --", '*', '\r\nFLUSHALL\r\n', '{x}', '../ann', 'ann:', '']) {
      expect(await users.find(name)).toBeUndefined();
      expect(await users.setPassword(name, 'x', 1)).toBe(false);
      expect(await users.disabledAtMs(name)).toBeUndefined();
    }
  });
});
