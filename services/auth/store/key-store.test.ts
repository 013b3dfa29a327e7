import { beforeEach, expect, test } from 'vitest';
import { describeStores } from '../../../test/harness/stores.ts';
import type { Store } from '../../shared/store/store.ts';
import type { KeyRecord, KeyStore } from './key-store.ts';
import { createRedisKeyStore } from './redis-key-store.ts';
import { createSqliteKeyStore } from './sqlite-key-store.ts';

function keyStore(store: Store): KeyStore {
  return store.kind === 'sqlite' ? createSqliteKeyStore(store) : createRedisKeyStore(store);
}

function record(keyId: string, changes: Partial<KeyRecord> = {}): KeyRecord {
  return {
    ...{ keyId, hash: 'ab'.repeat(32), name: 'n', userId: 'u', organizationId: 'acme', tier: 'standard' },
    ...{ scopes: [1], models: ['chat'], allowedIpRanges: [], createdAtMs: 1_000, previous: [] },
    ...changes,
  };
}

describeStores('keys', (stores) => {
  let keys: KeyStore;
  beforeEach(async () => {
    keys = keyStore(await stores.openEmpty());
  });

  test('a key is found as it was added, also through another connection', async () => {
    const added = record('k1', { expiresAtMs: 5_000, allowedIpRanges: ['10.0.0.0/8'] });
    expect(await keys.add(added)).toBe(true);
    expect(await keyStore(await stores.open()).find('k1')).toEqual(added);
    expect(await keys.find('k2')).toBeUndefined();
  });

  test('adding the same again changes nothing, another key with the id is refused', async () => {
    expect(await keys.add(record('k1'))).toBe(true);
    expect(await keys.add(record('k1'))).toBe(true);
    expect(await keys.add(record('k1', { hash: 'cd'.repeat(32) }))).toBe(false);
    expect((await keys.find('k1'))?.hash).toBe('ab'.repeat(32));
    expect((await keys.list({ limit: 10 })).records).toHaveLength(1);
  });

  test('exactly one of many is the first key, however often it is said', async () => {
    const others = await Promise.all(Array.from({ length: 4 }, async () => keyStore(await stores.open())));
    const ids = Array.from({ length: 40 }, (_, i) => `k${i}`);
    const answers = await Promise.all(ids.map((id, i) => (others[i % 4] ?? keys).addFirst(record(id))));
    expect(answers.filter(Boolean)).toHaveLength(1);
    const winner = ids[answers.indexOf(true)] ?? '';
    expect(await keys.addFirst(record(winner))).toBe(true);
    expect((await keys.list({ limit: 100 })).records.map(({ keyId }) => keyId)).toEqual([winner]);
  });

  test('lists newest first, by page and by organisation', async () => {
    const made = [record('a'), record('b'), record('c', { createdAtMs: 2_000 }), record('d', { createdAtMs: 500 })];
    for (const one of made) await keys.add(one);
    await keys.add(record('x', { organizationId: 'other', createdAtMs: 1_500 }));
    const ids: string[] = [];
    let after: string | undefined;
    do {
      const page = await keys.list({ organizationId: 'acme', limit: 3, after });
      ids.push(...page.records.map(({ keyId }) => keyId));
      after = page.next;
    } while (after);
    expect(ids).toEqual(['c', 'b', 'a', 'd']);
    expect((await keys.list({ limit: 10 })).records.map(({ keyId }) => keyId)).toEqual(['c', 'x', 'b', 'a', 'd']);
    await expect(keys.list({ limit: 1, after: 'nonsense' })).rejects.toMatchObject({ reason: 'INVALID_FIELD' });
  });

  test('is revoked once', async () => {
    await keys.add(record('k1'));
    expect((await keys.revoke('k1', 7_000))?.revokedAtMs).toBe(7_000);
    expect((await keys.revoke('k1', 9_000))?.revokedAtMs).toBe(7_000);
    expect((await keys.find('k1'))?.revokedAtMs).toBe(7_000);
    expect(await keys.revoke('none', 1)).toBeUndefined();
    expect(await keys.find('none')).toBeUndefined();
  });

  test('gets another hash, if it still has the one that is replaced', async () => {
    await keys.add(record('k1'));
    const [first, second, third] = ['ab', 'cd', 'ef'].map((hex) => hex.repeat(32)) as [string, string, string];
    const to = (hash: string, ...hashes: string[]) => ({
      hash,
      previous: hashes.map((previous) => ({ hash: previous, validUntilMs: 9_000 })),
    });
    expect(await keys.rotate('k1', first, to(second, first))).toBe(true);
    expect(await keys.rotate('k1', first, to(second, first))).toBe(true);
    expect(await keys.rotate('k1', first, to(third, first))).toBe(false);
    expect(await keys.find('k1')).toEqual(record('k1', to(second, first)));
    expect((await keys.list({ limit: 1 })).records).toEqual([record('k1', to(second, first))]);
    expect(await keys.rotate('k1', second, to(third))).toBe(true);
    expect(await keys.find('k1')).toEqual(record('k1', to(third)));
    expect(await keys.rotate('none', first, to(second))).toBe(false);
    expect(await keys.find('none')).toBeUndefined();
    // Adding what was added is still no change.
    expect(await keys.add(record('k1'))).toBe(true);
    expect((await keys.find('k1'))?.hash).toBe(third);
  });

  test('remembers the last use, of keys that exist', async () => {
    await keys.add(record('k1'));
    await keys.touch('k1', 5);
    await keys.touch('k1', 6);
    await keys.touch('none', 6);
    expect((await keys.find('k1'))?.lastUsedAtMs).toBe(6);
    expect(await keys.find('none')).toBeUndefined();
  });

  test('ids from outside name nothing else', async () => {
    for (const id of ["'; DROP TABLE auth_keys; --", '*', '\r\nFLUSHALL\r\n', '{x}', '../first', '\0']) {
      expect(await keys.find(id)).toBeUndefined();
      expect(await keys.revoke(id, 1)).toBeUndefined();
    }
  });
});
