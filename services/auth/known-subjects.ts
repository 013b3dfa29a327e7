import type { Principal } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { DEFAULT_ORGANIZATION } from './key-policy.ts';
import type { KeyStore } from './store/key-store.ts';
import type { OrganizationStore } from './store/organization-store.ts';
import type { UserStore } from './store/user-store.ts';
import type { UserDirectory } from './user-directory.ts';

/** What the look-up needs. */
export interface KnownSubjectsParts {
  /** The keys of configuration and environment. */
  readonly configured: Iterable<Principal>;
  /** Ids of the organisations of the configuration. */
  readonly organizationIds: Iterable<string>;
  readonly keys: KeyStore;
  readonly users: UserStore;
  readonly directory: UserDirectory;
  readonly organizations: OrganizationStore;
}

/** Whether there is somebody of that id whose consumption could count. Rejects with MeshError STORE_UNAVAILABLE. */
export type KnowsSubject = (scope: 'organization' | 'user' | 'key', id: string) => Promise<boolean>;

/** Looks subjects up in the configuration and in the store. */
export function createKnowsSubject(parts: KnownSubjectsParts): KnowsSubject {
  const { keys, users, directory, organizations } = parts;
  const principals = [...parts.configured];
  const organizationIds = new Set([DEFAULT_ORGANIZATION, ...parts.organizationIds]);
  const hasMembers = async (organizationId: string): Promise<boolean> => {
    const query = { organizationId, limit: 1 };
    return (await keys.list(query)).records.length > 0 || (await users.list(query)).records.length > 0;
  };
  return async (scope, id) => {
    switch (scope) {
      case 'key':
        return principals.some(({ keyId }) => keyId === id) || (await keys.find(id)) !== undefined;
      case 'user':
        return principals.some(({ userId }) => userId === id) || (await directory.find(id)) !== undefined;
      case 'organization': {
        if (organizationIds.has(id) || principals.some(({ organizationId }) => organizationId === id)) return true;
        return (await organizations.find(id)) !== undefined || (await hasMembers(id));
      }
    }
  };
}
