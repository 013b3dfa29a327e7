import type { SqliteStore } from '../../shared/store/sqlite.ts';
import { migrateSqlite } from '../../shared/store/sqlite-migrations.ts';
import type { OrganizationRecord, OrganizationStore } from './organization-store.ts';
import { formatNameCursor, parseNameCursor } from './page-cursor.ts';
import { AUTH_MIGRATIONS } from './sqlite-schema.ts';

/**
 * Organisations in the embedded store.
 *
 * @throws ConfigError when the file was written by a newer version.
 */
export function createSqliteOrganizationStore(store: SqliteStore): OrganizationStore {
  migrateSqlite(store, 'auth', AUTH_MIGRATIONS);
  const { database } = store;
  const findRow = database.prepare('SELECT * FROM auth_organizations WHERE organization_id = ?');
  const addRow = database.prepare('INSERT INTO auth_organizations VALUES (?, ?, ?) ON CONFLICT DO NOTHING');

  const listRows = database.prepare(
    'SELECT * FROM auth_organizations WHERE organization_id > ? ORDER BY organization_id LIMIT ?',
  );

  function find(organizationId: string): OrganizationRecord | undefined {
    const row = findRow.get(organizationId);
    return row && { organizationId, tier: String(row.tier), createdAtMs: Number(row.created_at_ms) };
  }

  return {
    find: async (organizationId) => store.transaction(() => find(organizationId)),
    add: async ({ organizationId, tier, createdAtMs }) =>
      store.transaction(() => {
        addRow.run(organizationId, tier, createdAtMs);
        const known = find(organizationId);
        return known?.tier === tier && known.createdAtMs === createdAtMs;
      }),
    list: async ({ limit, after }) => {
      const id = after === undefined ? '' : parseNameCursor(after);
      const rows = store.transaction(() => listRows.all(id, limit + 1));
      const records = rows.slice(0, limit).map((row) => ({
        organizationId: String(row.organization_id),
        tier: String(row.tier),
        createdAtMs: Number(row.created_at_ms),
      }));
      const last = records.at(-1);
      return { records, next: rows.length > limit && last ? formatNameCursor(last.organizationId) : undefined };
    },
  };
}
