import { MeshError } from '../shared/errors/mesh-error.ts';
import { DEFAULT_TIER } from './key-policy.ts';
import type { OrganizationPage, OrganizationRecord, OrganizationStore } from './store/organization-store.ts';
import { formatNameCursor, parseNameCursor } from './store/page-cursor.ts';
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
  /** Those of the configuration, made at 0, and of the store, by id; limit 0: 100. @throws MeshError INVALID_FIELD, STORE_UNAVAILABLE. */
  list(query: { limit: number; after: string }): Promise<OrganizationPage>;
  /** The tier of an organisation's new keys and users; "standard" of one that nobody made. @throws STORE_UNAVAILABLE. */
  tierOf(organizationId: string): Promise<string>;
}

/** Organisations of a page when the caller does not say. */
const PAGE_SIZE = 100;

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
    async list({ limit: asked, after: token }) {
      const limit = asked || PAGE_SIZE;
      const stored = await organizations.list({ limit, after: token || undefined });
      const after = token === '' ? undefined : parseNameCursor(token);
      const fromFile = [...configured]
        .map(([organizationId, tier]) => ({ organizationId, tier, createdAtMs: 0 }))
        .filter(({ organizationId }) => after === undefined || compare(organizationId, after) > 0);
      const fromStore = stored.records.filter(({ organizationId }) => !configured.has(organizationId));
      const all = [...fromFile, ...fromStore].sort((a, b) => compare(a.organizationId, b.organizationId));
      const records = all.slice(0, limit);
      const last = records.at(-1);
      // A page of the store that goes on is full, so what the file has behind it is over the limit.
      return { records, next: all.length > limit && last ? formatNameCursor(last.organizationId) : stored.next };
    },
    tierOf: async (organizationId) =>
      configured.get(organizationId) ?? (await organizations.find(organizationId))?.tier ?? DEFAULT_TIER,
  };
}

function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
