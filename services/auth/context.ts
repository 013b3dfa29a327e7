import type { Logger } from 'pino';
import type { Store } from '../shared/store/store.ts';
import { type Authenticated, createAuthenticator } from './authenticate.ts';
import type { AuthConfig } from './config.ts';
import { configuredKeys } from './configured-keys.ts';
import { createKeyService, type KeyService } from './key-service.ts';
import { createRedisKeyStore } from './store/redis-key-store.ts';
import { createRedisUserStore } from './store/redis-user-store.ts';
import { createSqliteKeyStore } from './store/sqlite-key-store.ts';
import { createSqliteUserStore } from './store/sqlite-user-store.ts';

/** What auth needs from outside. */
export interface AuthResources {
  /** Stays the caller's to close. */
  readonly store: Store;
  /** The secret that keys are hashed with; another one makes every key unknown. */
  readonly pepper: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Logger;
  /** The tiers that a key may get. Unset: any, and quota refuses those that it does not know. */
  readonly tiers?: ReadonlySet<string>;
}

/** Auth of this process. */
export interface AuthContext {
  /**
   * Who presents a credential; `clientIp` empty: unknown.
   *
   * @throws MeshError CREDENTIAL_INVALID or STORE_UNAVAILABLE.
   */
  readonly authenticate: (credential: string, clientIp: string) => Promise<Authenticated>;
  readonly keys: KeyService;
  /** Nothing to end yet; for the common shape of contexts. */
  close(): Promise<void>;
}

/**
 * Builds auth.
 *
 * @throws ConfigError when the store was written by a newer version.
 */
export function createAuthContext(config: AuthConfig, resources: AuthResources): AuthContext {
  const { store, pepper, now, log, tiers } = resources;
  const keys = store.kind === 'sqlite' ? createSqliteKeyStore(store) : createRedisKeyStore(store);
  const users = store.kind === 'sqlite' ? createSqliteUserStore(store) : createRedisUserStore(store);
  return {
    authenticate: createAuthenticator({ configured: configuredKeys(config), keys, users, pepper, now, log }),
    keys: createKeyService({ keys, pepper, now, tiers }),
    close: async () => undefined,
  };
}

/**
 * Makes the admin key of a new store, exactly once per store: only the process that made it gets the whole key.
 *
 * @throws MeshError STORE_UNAVAILABLE.
 */
export async function ensureAdminKey(context: AuthContext): Promise<{ secret: string } | undefined> {
  const made = await context.keys.createFirst();
  return made && { secret: made.secret };
}
