import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { hashKey, importedKeyId } from './api-key.ts';
import { DEFAULT_ORGANIZATION } from './key-policy.ts';
import { isWeakKey } from './key-strength.ts';

import type { KeyRecord, KeyStore } from './store/key-store.ts';

/** A key that was made elsewhere, in the clear. */
export interface ForeignKey {
  readonly key: string;
  /** Empty: none. */
  readonly userId: string;
  readonly tier: string;
}

/** Takes keys over into the store; the keys themselves are kept nowhere. */
export interface KeyImport {
  /**
   * Resolves to false when it is in the store already, which stays as it is, also if it was revoked there.
   *
   * @throws MeshError STORE_UNAVAILABLE.
   */
  add(foreign: ForeignKey): Promise<boolean>;
}

/** Builds it; `now` in milliseconds since the epoch. */
export function createKeyImport(parts: {
  readonly keys: Pick<KeyStore, 'find' | 'add'>;
  readonly pepper: Uint8Array;
  /** A key that was imported with one of them is there already. */
  readonly olderPeppers: readonly Uint8Array[];
  readonly now: () => number;
}): KeyImport {
  const { keys, pepper, olderPeppers, now } = parts;
  return {
    async add({ key, userId, tier }) {
      const hash = hashKey(key, pepper);
      const keyId = importedKeyId(hash);
      const idsBefore = olderPeppers.map((older) => importedKeyId(hashKey(key, older)));
      for (const known of [keyId, ...idsBefore]) if (await keys.find(known)) return false;
      const record: KeyRecord = {
        ...{ keyId, hash: hash.toString('hex'), previous: [], name: 'imported', userId, tier },
        ...{ organizationId: DEFAULT_ORGANIZATION, scopes: [Scope.GENERATE], models: [], allowedIpRanges: [] },
        createdAtMs: now(),
        ...(isWeakKey(key) ? { isWeak: true } : {}),
      };
      return await keys.add(record);
    },
  };
}
