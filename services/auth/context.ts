import type { Logger } from 'pino';
import { ConfigError } from '../shared/lifecycle/config-source.ts';
import type { Store } from '../shared/store/store.ts';
import { type ForeignAccounts, type ImportCounts, importAccounts } from './account-import.ts';
import { type AuthenticateCredential, createAuthenticator } from './authenticate.ts';
import type { AuthConfig } from './config.ts';
import { configuredKeys } from './configured-keys.ts';
import { configuredTiers } from './configured-tiers.ts';
import { configuredUsers } from './configured-users.ts';
import { environmentPrincipals } from './environment-keys.ts';
import { createHashQueue } from './hash-queue.ts';
import { createKeyImport, type KeyImport } from './key-import.ts';
import { createKeyLifecycle, type KeyLifecycle } from './key-lifecycle.ts';
import { createKeyService, type KeyService } from './key-service.ts';
import { isWeakKey } from './key-strength.ts';
import { createKnowsSubject, type KnowsSubject } from './known-subjects.ts';
import { createVerifyLogin, type VerifyLogin } from './login.ts';
import { createLoginLimit } from './login-limit.ts';
import { createOrganizationService, type OrganizationService } from './organization-service.ts';
import { createPasswords } from './password.ts';
import { createRegistration, type Register } from './registration.ts';
import { createRevalidator, type RevalidatePrincipal } from './revalidate.ts';
import { createRevocationDelivery } from './revocation-delivery.ts';
import type { Revocations } from './revocations.ts';
import { createSigningKeySeal } from './signing-key-seal.ts';
import { createSigningKeys, type SigningKeys } from './signing-keys.ts';
import { createAuthStores } from './store/auth-stores.ts';
import { createTokenService, type TokenService } from './token-service.ts';
import { createUserDirectory } from './user-directory.ts';
import { createUserService, type UserService } from './user-service.ts';
import { countWeakKeys } from './weak-keys.ts';

/** What auth needs from outside. */
export interface AuthResources {
  /** Stays the caller's to close. */
  readonly store: Store;
  /** The secret that keys are hashed with; another one makes every key unknown. */
  readonly pepper: Uint8Array;
  /** Those before it, whose hashes still count. Default: none. */
  readonly olderPeppers?: readonly Uint8Array[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Logger;
  /** Further keys in the clear, of tier "queue". */
  readonly environmentKeys?: readonly string[];
  /** The tiers that a key may get. Unset: any, and quota refuses those that it does not know. */
  readonly tiers?: ReadonlySet<string>;
}

/** Auth of this process. */
export interface AuthContext {
  /**
   * Who presents a credential.
   *
   * @throws MeshError CREDENTIAL_INVALID or STORE_UNAVAILABLE.
   */
  readonly authenticate: AuthenticateCredential;
  readonly revalidate: RevalidatePrincipal;
  readonly keys: KeyService;
  readonly lifecycle: KeyLifecycle;
  readonly register: Register;
  readonly keyImport: KeyImport;
  readonly countWeakKeys: () => Promise<number>;
  readonly importAccounts: (accounts: ForeignAccounts) => Promise<ImportCounts>;
  readonly users: UserService;
  readonly organizations: OrganizationService;
  readonly verifyLogin: VerifyLogin;
  readonly tokens: TokenService;
  readonly signingKeys: SigningKeys;
  readonly knowsSubject: KnowsSubject;
  /** What reaches every cache of verified principals. */
  readonly revocations: Revocations;
  /** Ends the watches of revocations, and tries no more to tell of one. */
  close(): Promise<void>;
}

/**
 * Half of libuv's four threads, which file and name look-ups share; with argon2id it takes 38 MiB, and a full queue waits
 * about a second.
 */
const HASH_QUEUE = { running: 2, waiting: 64 };

/**
 * Builds auth.
 *
 * @throws ConfigError when the store was written by a newer version.
 */
export function createAuthContext(config: AuthConfig, resources: AuthResources): AuthContext {
  const { store, pepper, olderPeppers = [], now, log, tiers, environmentKeys = [] } = resources;
  const weak = environmentKeys.filter(isWeakKey).length;
  if (weak > 0) log.warn({ keys: weak }, 'keys of API_KEYS can be guessed: they have less than 128 bits');
  const stores = createAuthStores(store);
  const { keys, users, organizations: organizationStore, refreshTokens } = stores;
  const revocations = createRevocationDelivery({ revocations: stores.revocations, log });
  const configured = configuredTiers(config);
  const organizations = createOrganizationService({ organizations: organizationStore, configured, now, tiers });
  const directory = createUserDirectory(configuredUsers(config), users);
  const keyImport = createKeyImport({ keys, pepper, olderPeppers, now });
  const keyService = createKeyService({ keys, organizations, users: directory, pepper, now, tiers });
  const passwords = createPasswords(createHashQueue(HASH_QUEUE));
  const verifyLogin = createVerifyLogin({ users: directory, passwords, limit: createLoginLimit(now), log });
  const signingKeys = createSigningKeys({
    store: stores.signingKeys,
    seal: createSigningKeySeal(pepper, olderPeppers),
    algorithm: config.token_algorithm,
    ...{ revocations, now },
  });
  const tokens = createTokenService({
    ...{ signingKeys, refreshTokens, users: directory, verifyLogin, revocations, pepper, olderPeppers, now },
  });
  const configuredPrincipals = configuredKeys(config);
  const environment = environmentPrincipals(environmentKeys, pepper);
  return {
    revalidate: createRevalidator({
      ...{ configured: [...configuredPrincipals.values(), ...environment.values()], keys, users, tokens, now },
    }),
    authenticate: createAuthenticator({
      ...{ configured: configuredPrincipals, environment },
      ...{ allowWeakKeys: config.allow_weak_keys, keys, users, tokens, pepper, olderPeppers, now, log },
    }),
    keys: keyService,
    keyImport,
    countWeakKeys: () => countWeakKeys(keys, now()),
    importAccounts: (accounts) => importAccounts(accounts, { keyImport, users, now }),
    register: createRegistration({ isOpen: config.open_registration, keys: keyService, now }),
    lifecycle: createKeyLifecycle({ keys, revocations, pepper, now }),
    users: createUserService({ users, directory, passwords, verifyLogin, organizations, revocations, now, tiers }),
    organizations,
    verifyLogin,
    tokens,
    signingKeys,
    knowsSubject: createKnowsSubject({
      configured: configuredPrincipals.values(),
      organizationIds: [...configured.keys(), ...config.users.map(({ organization }) => organization)],
      ...{ keys, users, directory, organizations: organizationStore },
    }),
    revocations: stores.revocations,
    close: async () => {
      revocations.close();
      stores.revocations.close();
    },
  };
}

/**
 * Checks that no key of the store can be guessed.
 *
 * @throws ConfigError, MeshError STORE_UNAVAILABLE.
 */
export async function requireStrongKeys(context: AuthContext): Promise<void> {
  const weak = await context.countWeakKeys();
  if (weak === 0) return;
  throw new ConfigError(
    `${weak} imported keys can be guessed (less than 128 bits), and server.host is no loopback address: rotate or revoke them, or set auth.allow_weak_keys or MESH_ALLOW_WEAK_KEYS=1`,
  );
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
