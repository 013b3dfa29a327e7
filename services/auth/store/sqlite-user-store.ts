import type { SQLOutputValue } from 'node:sqlite';
import type { SqliteStore } from '../../shared/store/sqlite.ts';
import { migrateSqlite } from '../../shared/store/sqlite-migrations.ts';
import { formatNameCursor, parseNameCursor } from './page-cursor.ts';
import { AUTH_MIGRATIONS } from './sqlite-schema.ts';
import type { UserRecord, UserStore } from './user-store.ts';

type Row = Record<string, SQLOutputValue>;

/**
 * Users in the embedded store.
 *
 * @throws ConfigError when the file was written by a newer version.
 */
export function createSqliteUserStore(store: SqliteStore): UserStore {
  migrateSqlite(store, 'auth', AUTH_MIGRATIONS);
  const statements = prepare(store);

  function disabledAtMs(userId: string): number | undefined {
    const row = statements.disabled.get(userId);
    return row && Number(row.disabled_at_ms);
  }

  function add(record: UserRecord): boolean {
    const { userId, organizationId, passwordHash, passwordChangedAtMs, disabledAtMs: _, ...rest } = record;
    if (disabledAtMs(userId) !== undefined) return false;
    const text = JSON.stringify(rest);
    statements.add.run(userId, organizationId, passwordHash, passwordChangedAtMs, text);
    const row = statements.find.get(userId);
    return row?.record === text && row.password_hash === passwordHash && row.organization_id === organizationId;
  }

  return {
    find: async (userId) =>
      store.transaction(() => {
        const row = statements.find.get(userId);
        return row && recordOf(row);
      }),
    add: async (record) => store.transaction(() => add(record)),
    setPassword: async (userId, passwordHash, atMs) =>
      store.transaction(() => statements.setPassword.run(passwordHash, atMs, userId).changes === 1),
    upgradeHash: async (userId, from, to) => store.transaction(() => void statements.upgrade.run(to, userId, from)),
    disable: async (userId, atMs) =>
      store.transaction(() => {
        statements.disable.run(userId, atMs);
        return disabledAtMs(userId) ?? atMs;
      }),
    enable: async (userId, atMs) =>
      store.transaction(() => {
        if (statements.undoDisable.run(userId).changes === 0) return;
        statements.enable.run(userId, atMs);
        statements.endTokens.run(atMs, userId);
      }),
    stateOf: async (userId) =>
      store.transaction(() => {
        const row = statements.enabled.get(userId);
        return { disabledAtMs: disabledAtMs(userId), enabledAtMs: row && Number(row.enabled_at_ms) };
      }),
    disabledAtMs: async (userId) => store.transaction(() => disabledAtMs(userId)),
    list: async ({ organizationId, limit, after }) => {
      const name = after === undefined ? '' : parseNameCursor(after);
      const rows = store.transaction(() =>
        organizationId === undefined
          ? statements.list.all(name, limit + 1)
          : statements.listOfOrganization.all(organizationId, name, limit + 1),
      );
      const records = rows.slice(0, limit).map(recordOf);
      const last = records.at(-1);
      return { records, next: rows.length > limit && last ? formatNameCursor(last.userId) : undefined };
    },
  };
}

function prepare({ database }: SqliteStore) {
  const users = 'SELECT * FROM auth_users LEFT JOIN auth_disabled_users USING (user_id)';
  const page = 'user_id > ? ORDER BY user_id LIMIT ?';
  return {
    find: database.prepare(`${users} WHERE user_id = ?`),
    add: database.prepare('INSERT INTO auth_users VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING'),
    setPassword: database.prepare(
      'UPDATE auth_users SET password_hash = ?, password_changed_at_ms = ? WHERE user_id = ?',
    ),
    upgrade: database.prepare('UPDATE auth_users SET password_hash = ? WHERE user_id = ? AND password_hash = ?'),
    disable: database.prepare('INSERT INTO auth_disabled_users VALUES (?, ?) ON CONFLICT DO NOTHING'),
    undoDisable: database.prepare('DELETE FROM auth_disabled_users WHERE user_id = ?'),
    enable: database.prepare(
      'INSERT INTO auth_enabled_users VALUES (?, ?) ON CONFLICT DO UPDATE SET enabled_at_ms = excluded.enabled_at_ms',
    ),
    endTokens: database.prepare(
      'UPDATE auth_users SET password_changed_at_ms = max(?, password_changed_at_ms + 1) WHERE user_id = ?',
    ),
    enabled: database.prepare('SELECT enabled_at_ms FROM auth_enabled_users WHERE user_id = ?'),
    disabled: database.prepare('SELECT disabled_at_ms FROM auth_disabled_users WHERE user_id = ?'),
    list: database.prepare(`${users} WHERE ${page}`),
    listOfOrganization: database.prepare(`${users} WHERE organization_id = ? AND ${page}`),
  };
}

function recordOf(row: Row): UserRecord {
  return {
    ...(JSON.parse(String(row.record)) as Pick<UserRecord, 'tier' | 'scopes' | 'models' | 'createdAtMs'>),
    userId: String(row.user_id),
    organizationId: String(row.organization_id),
    passwordHash: String(row.password_hash),
    passwordChangedAtMs: Number(row.password_changed_at_ms),
    disabledAtMs: row.disabled_at_ms === null ? undefined : Number(row.disabled_at_ms),
  };
}
