import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { ConfigError } from '../shared/lifecycle/config-source.ts';
import type { ForeignKey, KeyImport } from './key-import.ts';
import { DEFAULT_ORGANIZATION, DEFAULT_TIER } from './key-policy.ts';
import { isWeakKey } from './key-strength.ts';
import { parsePasswordHash } from './password-hash.ts';
import type { UserStore } from './store/user-store.ts';

/** Keys and users of another system. */
export interface ForeignAccounts {
  readonly keys: readonly ForeignKey[];
  readonly users: readonly { readonly name: string; readonly passwordHash: string }[];
}

/** How many were added, and how many were there before and stayed as they were. */
export interface ImportCounts {
  readonly keys: number;
  readonly knownKeys: number;
  readonly users: number;
  readonly knownUsers: number;
  /** Of all keys, those that can be guessed. */
  readonly weakKeys: number;
}

/**
 * Checks accounts before any is added; `tiers` are those that exist.
 *
 * @throws ConfigError that names the user or the number of the key, never a key.
 */
export function requireImportable(
  { keys, users }: ForeignAccounts,
  tiers: ReadonlySet<string>,
  areWeakAllowed: boolean,
): void {
  for (const [index, { key, tier }] of keys.entries()) {
    if (!/^[\x21-\x7e]+$/.test(key)) throw new ConfigError(`key ${index + 1}: no header can carry it`);
    if (!tiers.has(tier))
      throw new ConfigError(`key ${index + 1}: no tier '${tier}'; there are ${[...tiers].join(', ')}`);
  }
  for (const { name, passwordHash } of users) {
    if (parsePasswordHash(passwordHash)) continue;
    throw new ConfigError(`user '${name}': expected a bcrypt hash $2a$ or $2b$ of at most cost 15, or argon2id`);
  }
  const weak = keys.filter(({ key }) => isWeakKey(key)).length;
  if (weak === 0 || areWeakAllowed) return;
  throw new ConfigError(
    `${weak} of the keys can be guessed (less than 128 bits), and server.host is no loopback address: make new ones, or set auth.allow_weak_keys or MESH_ALLOW_WEAK_KEYS=1`,
  );
}

/** Adds what requireImportable has checked. Doing it again adds what is missing. @throws MeshError STORE_UNAVAILABLE. */
export async function importAccounts(
  { keys, users }: ForeignAccounts,
  into: { readonly keyImport: KeyImport; readonly users: Pick<UserStore, 'add'>; readonly now: () => number },
): Promise<ImportCounts> {
  let added = 0;
  for (const foreign of keys) if (await into.keyImport.add(foreign)) added += 1;
  let addedUsers = 0;
  const atMs = into.now();
  for (const { name: userId, passwordHash } of users) {
    const record = { userId, organizationId: DEFAULT_ORGANIZATION, tier: DEFAULT_TIER, scopes: [Scope.GENERATE] };
    if (await into.users.add({ ...record, passwordHash, createdAtMs: atMs, passwordChangedAtMs: atMs }))
      addedUsers += 1;
  }
  return {
    ...{ keys: added, knownKeys: keys.length - added, users: addedUsers, knownUsers: users.length - addedUsers },
    weakKeys: keys.filter(({ key }) => isWeakKey(key)).length,
  };
}
