import { expect, test } from 'vitest';
import { describeStores } from '../../../test/harness/stores.ts';
import type { Store } from '../../shared/store/store.ts';
import { createRedisRefreshTokenStore } from './redis-refresh-token-store.ts';
import type { RefreshTokenStore } from './refresh-token-store.ts';
import { createSqliteRefreshTokenStore } from './sqlite-refresh-token-store.ts';

function refreshTokenStore(store: Store): RefreshTokenStore {
  return store.kind === 'sqlite' ? createSqliteRefreshTokenStore(store) : createRedisRefreshTokenStore(store);
}

const family = { familyId: 'f', userId: 'ann', passwordChangedAtMs: 5, expiresAtMs: 1_000_000, hash: 'one' };

describeStores('refresh tokens', (stores) => {
  test('a family is found as it was added until it expires, also through another connection', async () => {
    await refreshTokenStore(await stores.openEmpty()).add(family, 0);
    const families = refreshTokenStore(await stores.open());
    expect(await families.find('f', 999_999)).toEqual(family);
    expect(await families.find('f', 1_000_000)).toBeUndefined();
    expect(await families.find('g', 0)).toBeUndefined();
  });

  test('a token is spent once, however many try', async () => {
    const first = refreshTokenStore(await stores.openEmpty());
    const second = refreshTokenStore(await stores.open());
    await first.add(family, 0);
    const spent = await Promise.all(
      ['a', 'b', 'c', 'd'].map((to, i) => (i % 2 === 0 ? first : second).rotate('f', 'one', to)),
    );
    expect(spent.filter(Boolean)).toHaveLength(1);
    const hash = ['a', 'b', 'c', 'd'][spent.indexOf(true)] ?? '';
    expect(await first.find('f', 0)).toEqual({ ...family, hash });
    // A lost answer: the same call again.
    expect(await first.rotate('f', 'one', hash)).toBe(true);
    await first.add(family, 0);
    expect((await first.find('f', 0))?.hash).toBe(hash);
  });

  test('an ended family is gone', async () => {
    const families = refreshTokenStore(await stores.openEmpty());
    await families.add(family, 0);
    await families.end('f');
    await families.end('f');
    expect(await families.find('f', 0)).toBeUndefined();
    expect(await families.rotate('f', 'one', 'two')).toBe(false);
  });
});
