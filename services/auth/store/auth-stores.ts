import type { Store } from '../../shared/store/store.ts';
import { createLocalRevocations, type Revocations } from '../revocations.ts';
import type { KeyStore } from './key-store.ts';
import type { OrganizationStore } from './organization-store.ts';
import { createRedisKeyStore } from './redis-key-store.ts';
import { createRedisOrganizationStore } from './redis-organization-store.ts';
import { createRedisRefreshTokenStore } from './redis-refresh-token-store.ts';
import { createRedisRevocations } from './redis-revocations.ts';
import { createRedisSigningKeyStore } from './redis-signing-key-store.ts';
import { createRedisUserStore } from './redis-user-store.ts';
import type { RefreshTokenStore } from './refresh-token-store.ts';
import type { SigningKeyStore } from './signing-key-store.ts';
import { createSqliteKeyStore } from './sqlite-key-store.ts';
import { createSqliteOrganizationStore } from './sqlite-organization-store.ts';
import { createSqliteRefreshTokenStore } from './sqlite-refresh-token-store.ts';
import { createSqliteSigningKeyStore } from './sqlite-signing-key-store.ts';
import { createSqliteUserStore } from './sqlite-user-store.ts';
import type { UserStore } from './user-store.ts';

/** Everything that auth keeps. */
export interface AuthStores {
  readonly keys: KeyStore;
  readonly users: UserStore;
  readonly organizations: OrganizationStore;
  readonly signingKeys: SigningKeyStore;
  readonly refreshTokens: RefreshTokenStore;
  readonly revocations: Revocations;
}

/**
 * What auth keeps, in the store of the process.
 *
 * @throws ConfigError when the store was written by a newer version.
 */
export function createAuthStores(store: Store): AuthStores {
  if (store.kind === 'sqlite') {
    return {
      keys: createSqliteKeyStore(store),
      users: createSqliteUserStore(store),
      organizations: createSqliteOrganizationStore(store),
      signingKeys: createSqliteSigningKeyStore(store),
      refreshTokens: createSqliteRefreshTokenStore(store),
      revocations: createLocalRevocations(),
    };
  }
  return {
    keys: createRedisKeyStore(store),
    users: createRedisUserStore(store),
    organizations: createRedisOrganizationStore(store),
    signingKeys: createRedisSigningKeyStore(store),
    refreshTokens: createRedisRefreshTokenStore(store),
    revocations: createRedisRevocations(store),
  };
}
