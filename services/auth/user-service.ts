import { type Principal, Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { invalidField, MeshError } from '../shared/errors/mesh-error.ts';
import { hasScope } from '../shared/interceptors/principal.ts';
import { DEFAULT_ORGANIZATION, requireScope } from './key-policy.ts';
import type { VerifyLogin } from './login.ts';
import type { OrganizationService } from './organization-service.ts';
import type { Passwords } from './password.ts';
import type { RevocationDelivery } from './revocation-delivery.ts';
import type { UserPage, UserRecord, UserStore } from './store/user-store.ts';
import type { UserDirectory } from './user-directory.ts';
import { requireName, requireStrongPassword, requireTier } from './user-policy.ts';

/** What users are made with. */
export interface UserServiceParts {
  readonly users: UserStore;
  readonly directory: UserDirectory;
  readonly passwords: Passwords;
  readonly verifyLogin: VerifyLogin;
  readonly organizations: OrganizationService;
  readonly revocations: Pick<RevocationDelivery, 'tell'>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** The tiers that exist; unset: not known here, any goes. */
  readonly tiers: ReadonlySet<string> | undefined;
}

/** A user that is asked for; what is empty gets its default. */
export type UserDraft = Pick<UserRecord, 'userId' | 'organizationId' | 'tier' | 'scopes'>;

/** A change of a password. */
export interface PasswordChange {
  /** Empty: the caller's own. */
  readonly userId: string;
  /** Proves a caller without scope `admin`. */
  readonly currentPassword: string;
  readonly newPassword: string;
  /** Where the caller is. Empty: unknown. */
  readonly clientIp: string;
}

/** Makes, lists and ends users, and sets their passwords. Every method may throw STORE_UNAVAILABLE. */
export interface UserService {
  /** @throws MeshError ALREADY_EXISTS, INVALID_FIELD, QUEUE_FULL. */
  create(draft: UserDraft, password: string): Promise<UserRecord>;
  /** A user of the configuration or the store as it is now; undefined: there is none. */
  find(userId: string): Promise<UserRecord | undefined>;
  /**
   * Resolves to whether everybody was told; else that is still to come.
   *
   * @throws MeshError NOT_FOUND, CREDENTIAL_INVALID, INVALID_FIELD, SCOPE_MISSING, CONFLICT, QUEUE_FULL.
   */
  setPassword(change: PasswordChange, caller: Principal): Promise<boolean>;
  /** `isTold`: whether everybody was told; else that is still to come. @throws MeshError NOT_FOUND. */
  disable(userId: string): Promise<{ user: UserRecord; isTold: boolean }>;
  /** Lets a disabled user in again; tokens from before it was disabled stay ended. @throws MeshError NOT_FOUND. */
  enable(userId: string): Promise<UserRecord>;
  /** Organisation empty: all; limit 0: 100. @throws MeshError INVALID_FIELD. */
  list(query: { organizationId: string; limit: number; after: string }): Promise<UserPage>;
}

/** Users of a page when the caller does not say. */
const PAGE_SIZE = 100;

/** Builds it. */
export function createUserService(parts: UserServiceParts): UserService {
  const { users, directory, passwords, organizations, now } = parts;

  return {
    async create(draft, password) {
      const { userId } = draft;
      const organizationId = draft.organizationId || DEFAULT_ORGANIZATION;
      requireName('user_id', userId);
      requireName('organization_id', organizationId);
      requireStrongPassword('password', password, userId);
      const tier = draft.tier || (await organizations.tierOf(organizationId));
      requireTier(tier, parts.tiers);
      if (await directory.find(userId)) throw nameTaken(userId);
      const scopes = draft.scopes.length > 0 ? [...new Set(draft.scopes)] : [Scope.GENERATE];
      const passwordHash = await passwords.hash(password);
      const atMs = now();
      const times = { createdAtMs: atMs, passwordChangedAtMs: atMs };
      const record: UserRecord = { userId, organizationId, tier, scopes, passwordHash, ...times };
      if (!(await users.add(record))) throw nameTaken(userId);
      return record;
    },
    find: directory.find,
    async setPassword({ userId: asked, currentPassword, newPassword, clientIp }, caller) {
      const userId = asked || caller.userId;
      if (!userId) throw invalidField('user_id', 'must name a user, because the caller has none');
      if (userId !== caller.userId) requireScope(caller, Scope.ADMIN);
      requireStrongPassword('new_password', newPassword, userId);
      if (!hasScope(caller, Scope.ADMIN)) await parts.verifyLogin(userId, currentPassword, clientIp);
      if (directory.isConfigured(userId)) throw standsInConfiguration(userId);
      if (!(await directory.find(userId))) throw noSuchUser(userId);
      const hash = await passwords.hash(newPassword);
      if (!(await users.setPassword(userId, hash, now()))) throw noSuchUser(userId);
      // Whoever verified a token from before looks again.
      return await parts.revocations.tell({ kind: 'user', id: userId, cutRunningStreams: false });
    },
    async disable(userId) {
      const user = await directory.disable(userId, now());
      if (!user) throw noSuchUser(userId);
      // Also when it was disabled before: the first time, this may be what failed.
      return { user, isTold: await parts.revocations.tell({ kind: 'user', id: userId, cutRunningStreams: true }) };
    },
    async enable(userId) {
      const user = await directory.enable(userId, now());
      if (!user) throw noSuchUser(userId);
      return user;
    },
    list: async ({ organizationId, limit, after }) =>
      await directory.list({
        organizationId: organizationId || undefined,
        limit: limit || PAGE_SIZE,
        after: after || undefined,
      }),
  };
}

function nameTaken(userId: string): MeshError {
  return new MeshError('ALREADY_EXISTS', 'The name is taken.', { metadata: { kind: 'user', id: userId } });
}

function noSuchUser(userId: string): MeshError {
  return new MeshError('NOT_FOUND', 'There is no such user.', { metadata: { kind: 'user', id: userId } });
}

function standsInConfiguration(userId: string): MeshError {
  return new MeshError('CONFLICT', 'This user stands in the configuration file. Change its password_hash there.', {
    metadata: { kind: 'user', id: userId, state: 'CONFIGURED' },
  });
}
