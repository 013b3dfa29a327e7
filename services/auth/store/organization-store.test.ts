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
