import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { createKey, hashKey } from '../../services/auth/api-key.ts';
import type { KeyRecord } from '../../services/auth/store/key-store.ts';
import { createSqliteKeyStore } from '../../services/auth/store/sqlite-key-store.ts';
import { closeSqlite, openSqlite } from '../../services/shared/store/sqlite.ts';

/** A data directory whose store knows many keys. */
export interface KnownKeys {
  /** The secrets of those that are used. */
  readonly secrets: readonly string[];
  readonly pepperFile: string;
}

const PER_TRANSACTION = 50_000;
const PER_ORGANIZATION = 100;

/** Makes the store of a data directory with so many keys, of the tier "bench", and gives the secrets of the first of them. */
export function makeKnownKeys(dataDirectory: string, known: number, used: number): KnownKeys {
  mkdirSync(dataDirectory, { recursive: true });
  const pepper = Buffer.alloc(32, 'bench');
  const pepperFile = join(dataDirectory, 'bench.pepper');
  writeFileSync(pepperFile, pepper, { mode: 0o600 });
  const store = openSqlite(join(dataDirectory, 'mesh.db'));
  // The key store makes a transaction for each key; here many share one.
  const keys = createSqliteKeyStore({ ...store, transaction: (work) => work() });
  const secrets: string[] = [];
  for (let from = 0; from < known; from += PER_TRANSACTION) {
    store.transaction(() => {
      for (let n = from; n < Math.min(known, from + PER_TRANSACTION); n++) {
        const keyId = String(n).padStart(12, '0');
        // Nobody asks for the others, so their secrets need not be known.
        const secret = n < used ? createKey(keyId).secret : keyId;
        if (n < used) secrets.push(secret);
        void keys.add(record(n, keyId, hashKey(secret, pepper).toString('hex')));
      }
    });
  }
  closeSqlite(store);
  return { secrets, pepperFile };
}

function record(n: number, keyId: string, hash: string): KeyRecord {
  return {
    ...{ keyId, hash, name: `key ${n}`, userId: `user${n}`, organizationId: `org${Math.floor(n / PER_ORGANIZATION)}` },
    ...{
      tier: 'bench',
      scopes: [Scope.GENERATE],
      models: [],
      allowedIpRanges: [],
      createdAtMs: Date.now(),
      previous: [],
    },
  };
}
