import type { SqliteStore } from '../../shared/store/sqlite.ts';
import { migrateSqlite } from '../../shared/store/sqlite-migrations.ts';
import type { RefreshTokenStore } from './refresh-token-store.ts';
import { AUTH_MIGRATIONS } from './sqlite-schema.ts';

/**
 * Refresh tokens in the embedded store.
 *
 * @throws ConfigError when the file was written by a newer version.
 */
export function createSqliteRefreshTokenStore(store: SqliteStore): RefreshTokenStore {
  migrateSqlite(store, 'auth', AUTH_MIGRATIONS);
  const { database } = store;
  const table = 'auth_token_families';
  const addRow = database.prepare(`INSERT INTO ${table} VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`);
  const dropExpired = database.prepare(`DELETE FROM ${table} WHERE expires_at_ms <= ?`);
  const findRow = database.prepare(`SELECT * FROM ${table} WHERE family_id = ? AND expires_at_ms > ?`);
  const rotateRow = database.prepare(`UPDATE ${table} SET hash = ? WHERE family_id = ? AND hash IN (?, ?)`);
  const endRow = database.prepare(`DELETE FROM ${table} WHERE family_id = ?`);

  return {
    add: async ({ familyId, userId, passwordChangedAtMs, expiresAtMs, hash }, nowMs) =>
      store.transaction(() => {
        dropExpired.run(nowMs);
        addRow.run(familyId, userId, passwordChangedAtMs, expiresAtMs, hash);
      }),
    find: async (familyId, nowMs) =>
      store.transaction(() => {
        const row = findRow.get(familyId, nowMs);
        return (
          row && {
            familyId,
            userId: String(row.user_id),
            passwordChangedAtMs: Number(row.password_changed_at_ms),
            expiresAtMs: Number(row.expires_at_ms),
            hash: String(row.hash),
          }
        );
      }),
    rotate: async (familyId, from, to) => store.transaction(() => rotateRow.run(to, familyId, from, to).changes === 1),
    end: async (familyId) => store.transaction(() => void endRow.run(familyId)),
  };
}
