import { expect, test } from 'vitest';
import { describeStores } from '../../../test/harness/stores.ts';
import type { Store } from '../../shared/store/store.ts';
import { createRedisSigningKeyStore } from './redis-signing-key-store.ts';
import type { SigningKeyRecord, SigningKeyStore } from './signing-key-store.ts';
import { createSqliteSigningKeyStore } from './sqlite-signing-key-store.ts';

function signingKeyStore(store: Store): SigningKeyStore {
  return store.kind === 'sqlite' ? createSqliteSigningKeyStore(store) : createRedisSigningKeyStore(store);
}

function key(kid: string): SigningKeyRecord {
  return { kid, algorithm: 'EdDSA', sealed: `sealed ${kid}`, publishedAtMs: 1, signsFromMs: 2 };
}

describeStores('signing keys', (stores) => {
  test('of all who make the first at once, one does, and everybody finds it', async () => {
    const first = signingKeyStore(await stores.openEmpty());
    const second = signingKeyStore(await stores.open());
    expect(await first.load()).toEqual({ version: 0, keys: [] });
    const kids = ['a', 'b', 'c', 'd'];
    const made = await Promise.all(
      kids.map((kid, i) => (i % 2 === 0 ? first : second).replace({ version: 1, keys: [key(kid)] })),
    );
    expect(made.filter(Boolean)).toHaveLength(1);
    expect(await second.load()).toEqual({ version: 1, keys: [key(kids[made.indexOf(true)] ?? '')] });
  });

  test('a set replaces the one before it only; the same again changes nothing', async () => {
    const keys = signingKeyStore(await stores.openEmpty());
    expect(await keys.replace({ version: 2, keys: [key('a')] })).toBe(false);
    expect(await keys.replace({ version: 1, keys: [key('a')] })).toBe(true);
    expect(await keys.replace({ version: 1, keys: [key('a')] })).toBe(true);
    expect(await keys.replace({ version: 1, keys: [key('b')] })).toBe(false);
    expect(await keys.replace({ version: 2, keys: [key('a'), key('b')] })).toBe(true);
    expect(await keys.replace({ version: 1, keys: [key('a')] })).toBe(false);
    expect((await keys.load()).keys.map(({ kid }) => kid)).toEqual(['a', 'b']);
  });
});
