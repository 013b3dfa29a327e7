import { MeshError } from '../shared/errors/mesh-error.ts';
import { DEFAULT_TIER } from './key-policy.ts';
import type { OrganizationRecord, OrganizationStore } from './store/organization-store.ts';
import { requireName, requireTier } from './user-policy.ts';

/** What organisations are made with. */
export interface OrganizationServiceParts {
  readonly organizations: OrganizationStore;
  /** Those of the configuration: id → tier. They go before the store. */
  readonly configured: ReadonlyMap<string, string>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** The tiers that exist; unset: not known here, any goes. */
  readonly tiers: ReadonlySet<string> | undefined;
}

/** Makes organisations and knows their tiers. */
export interface OrganizationService {
  /** Tier empty: "standard". @throws MeshError ALREADY_EXISTS, INVALID_FIELD, STORE_UNAVAILABLE. */
  create(organizationId: string, tier: string): Promise<OrganizationRecord>;
  /** The tier of an organisation's new keys and users; "standard" of one that nobody made. @throws STORE_UNAVAILABLE. */
  tierOf(organizationId: string): Promise<string>;
}

/** Builds it. */
export function createOrganizationService(parts: OrganizationServiceParts): OrganizationService {
  const { organizations, configured, now, tiers } = parts;
  return {
    async create(organizationId, askedTier) {
      const tier = askedTier || DEFAULT_TIER;
      requireName('organization_id', organizationId);
      requireTier(tier, tiers);
      const record = { organizationId, tier, createdAtMs: now() };
      if (!configured.has(organizationId) && (await organizations.add(record))) return record;
      throw new MeshError('ALREADY_EXISTS', 'There is an organisation of this id.', {
        metadata: { kind: 'organization', id: organizationId },
      });
    },
    tierOf: async (organizationId) =>
      configured.get(organizationId) ?? (await organizations.find(organizationId))?.tier ?? DEFAULT_TIER,
  };
}
