import { expect, test } from 'vitest';
import { describeStores } from '../../../test/harness/stores.ts';
import type { Store } from '../../shared/store/store.ts';
import type { OrganizationStore } from './organization-store.ts';
import { createRedisOrganizationStore } from './redis-organization-store.ts';
import { createSqliteOrganizationStore } from './sqlite-organization-store.ts';

function organizationStore(store: Store): OrganizationStore {
  return store.kind === 'sqlite' ? createSqliteOrganizationStore(store) : createRedisOrganizationStore(store);
}

describeStores('organisations', (stores) => {
  test('one is found as it was added, also through another connection', async () => {
    const organizations = organizationStore(await stores.openEmpty());
    const acme = { organizationId: 'acme', tier: 'premium', createdAtMs: 1_000 };
    expect(await organizations.add(acme)).toBe(true);
    expect(await organizationStore(await stores.open()).find('acme')).toEqual(acme);
    expect(await organizations.find('other')).toBeUndefined();
  });

  test('they are listed page by page, by the bytes of their ids, each once', async () => {
    const organizations = organizationStore(await stores.openEmpty());
    const ids = ['z', 'a', 'ä', 'b:c', 'B', '*'];
    for (const id of ids) await organizations.add({ organizationId: id, tier: 'free', createdAtMs: 1_000 });
    await organizations.add({ organizationId: 'a', tier: 'premium', createdAtMs: 2_000 });
    const seen: string[] = [];
    for (let after: string | undefined; ; ) {
      const { records, next } = await organizations.list({ limit: 2, after });
      seen.push(...records.map(({ organizationId }) => organizationId));
      after = next;
      if (after === undefined) break;
    }
    expect(seen).toEqual(['*', 'B', 'a', 'b:c', 'z', 'ä']);
    await expect(organizations.list({ limit: 1, after: '%' })).rejects.toMatchObject({ reason: 'INVALID_FIELD' });
  });

  test('adding the same again changes nothing, another of the id is refused', async () => {
    const organizations = organizationStore(await stores.openEmpty());
    const acme = { organizationId: 'acme', tier: 'premium', createdAtMs: 1_000 };
    expect(await organizations.add(acme)).toBe(true);
    expect(await organizations.add(acme)).toBe(true);
    expect(await organizations.add({ ...acme, tier: 'free' })).toBe(false);
    expect(await organizations.add({ ...acme, createdAtMs: 2_000 })).toBe(false);
    expect(await organizations.find('acme')).toEqual(acme);
  });
});
