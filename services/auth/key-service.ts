import { type Principal, Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { hasScope } from '../shared/interceptors/principal.ts';
import { createKey, hashKey } from './api-key.ts';
import {
  completeDraft,
  type KeyDraft,
  organizationOf,
  requireMayActFor,
  requireMayMake,
  requireScope,
} from './key-policy.ts';
import type { OrganizationService } from './organization-service.ts';
import type { KeyPage, KeyRecord, KeyStore } from './store/key-store.ts';
import type { UserDirectory } from './user-directory.ts';

/** What keys are made with. */
export interface KeyServiceParts {
  readonly keys: KeyStore;
  readonly organizations: Pick<OrganizationService, 'tierOf'>;
  readonly users: Pick<UserDirectory, 'find'>;
  readonly pepper: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** The tiers that exist; unset: not known here, any goes. */
  readonly tiers: ReadonlySet<string> | undefined;
}

/** Makes and lists keys for a caller. */
export interface KeyService {
  /** @throws MeshError SCOPE_MISSING, INVALID_FIELD, STORE_UNAVAILABLE. */
  create(draft: KeyDraft, maker: Principal): Promise<{ record: KeyRecord; secret: string }>;
  /** @throws MeshError SCOPE_MISSING, INVALID_FIELD, STORE_UNAVAILABLE. */
  list(query: { organizationId: string; limit: number; after: string }, caller: Principal): Promise<KeyPage>;
  /** Makes the admin key of a new store; undefined when it was made before, here or in another process. */
  createFirst(): Promise<{ record: KeyRecord; secret: string } | undefined>;
}

/** Keys of a page when the caller does not say. */
const PAGE_SIZE = 100;

/** How often the first key is tried while the store does not answer. */
const FIRST_KEY_ATTEMPTS = 3;

/** Builds it. */
export function createKeyService({ keys, organizations, users, pepper, now, tiers }: KeyServiceParts): KeyService {
  function make(draft: KeyDraft): { record: KeyRecord; secret: string } {
    const { keyId, secret } = createKey();
    const hash = hashKey(secret, pepper).toString('hex');
    return { secret, record: { ...draft, keyId, hash, previous: [], createdAtMs: now() } };
  }

  return {
    async create(asked, maker) {
      const organizationTier = await organizations.tierOf(organizationOf(asked, maker));
      const draft = completeDraft(asked, maker, organizationTier);
      requireMayMake(draft, maker, organizationTier, now(), tiers);
      if (draft.userId !== maker.userId) requireMayActFor(await users.find(draft.userId), maker);
      const made = make(draft);
      if (!(await keys.add(made.record))) throw new MeshError('INTERNAL', 'The key id is in use. Try again.');
      return made;
    },
    async list({ organizationId, limit, after }, caller) {
      const isAdmin = hasScope(caller, Scope.ADMIN);
      if (organizationId && organizationId !== caller.organizationId) requireScope(caller, Scope.ADMIN);
      const which = organizationId || (isAdmin ? undefined : caller.organizationId);
      return await keys.list({ organizationId: which, limit: limit || PAGE_SIZE, after: after || undefined });
    },
    async createFirst() {
      const made = make(FIRST_KEY);
      return (await repeated(() => keys.addFirst(made.record))) ? made : undefined;
    },
  };
}

const FIRST_KEY: KeyDraft = {
  name: 'first admin key',
  userId: 'admin',
  organizationId: 'default',
  tier: 'unlimited',
  scopes: [Scope.ADMIN],
  models: [],
  allowedIpRanges: [],
};

/** The same record again, so that a lost reply does not leave a store whose first key nobody was told. */
async function repeated(addFirst: () => Promise<boolean>): Promise<boolean> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await addFirst();
    } catch (error) {
      const again = error instanceof MeshError && error.reason === 'STORE_UNAVAILABLE' && attempt < FIRST_KEY_ATTEMPTS;
      if (!again) throw error;
      await new Promise((resolve) => setTimeout(resolve, error.retryAfterMs ?? 0));
    }
  }
}
