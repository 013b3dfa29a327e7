import type { SqliteStore } from '../../shared/store/sqlite.ts';
import { migrateSqlite } from '../../shared/store/sqlite-migrations.ts';
import type { SigningKeyRecord, SigningKeySet, SigningKeyStore } from './signing-key-store.ts';
import { AUTH_MIGRATIONS } from './sqlite-schema.ts';

/**
 * Signing keys in the embedded store.
 *
 * @throws ConfigError when the file was written by a newer version.
 */
export function createSqliteSigningKeyStore(store: SqliteStore): SigningKeyStore {
  migrateSqlite(store, 'auth', AUTH_MIGRATIONS);
  const { database } = store;
  const findRow = database.prepare('SELECT version, keys FROM auth_signing_keys');
  const setRow = database.prepare(
    'INSERT INTO auth_signing_keys VALUES (1, ?, ?) ON CONFLICT DO UPDATE SET version = excluded.version, keys = excluded.keys',
  );

  function load(): SigningKeySet {
    const row = findRow.get();
    if (!row) return { version: 0, keys: [] };
    return { version: Number(row.version), keys: JSON.parse(String(row.keys)) as SigningKeyRecord[] };
  }

  return {
    load: async () => store.transaction(load),
    replace: async ({ version, keys }) =>
      store.transaction(() => {
        const text = JSON.stringify(keys);
        const known = load();
        if (known.version === version) return JSON.stringify(known.keys) === text;
        if (known.version !== version - 1) return false;
        setRow.run(version, text);
        return true;
      }),
  };
}
