import type { SQLOutputValue } from 'node:sqlite';
import type { SqliteStore } from '../../shared/store/sqlite.ts';
import { migrateSqlite } from '../../shared/store/sqlite-migrations.ts';
import type { FoundKey, KeyRecord, KeyStore, PreviousSecret } from './key-store.ts';
import { formatCursor, parseCursor } from './page-cursor.ts';
import { AUTH_MIGRATIONS } from './sqlite-schema.ts';

type Row = Record<string, SQLOutputValue>;

/**
 * Keys in the embedded store.
 *
 * @throws ConfigError when the file was written by a newer version.
 */
export function createSqliteKeyStore(store: SqliteStore): KeyStore {
  migrateSqlite(store, 'auth', AUTH_MIGRATIONS);
  const statements = prepare(store);

  function find(keyId: string): FoundKey | undefined {
    const row = statements.find.get(keyId);
    if (!row) return undefined;
    const { disabled_at_ms: atMs } = row;
    return { ...recordOf(row), userDisabledAtMs: typeof atMs === 'number' ? atMs : undefined };
  }

  function add(record: KeyRecord): boolean {
    const { keyId, organizationId, createdAtMs, revokedAtMs, lastUsedAtMs, previous: _, ...rest } = record;
    const text = JSON.stringify(rest);
    statements.add.run(keyId, organizationId, createdAtMs, revokedAtMs ?? null, lastUsedAtMs ?? null, text);
    return statements.find.get(keyId)?.record === text;
  }

  return {
    find: async (keyId) => store.transaction(() => find(keyId)),
    add: async (record) => store.transaction(() => add(record)),
    addFirst: async (record) =>
      store.transaction(() => {
        statements.claimFirst.run(record.keyId);
        return statements.first.get()?.key_id === record.keyId && add(record);
      }),
    list: async ({ organizationId, limit, after }) => {
      const { createdAtMs, keyId } = after ? parseCursor(after) : { createdAtMs: Number.MAX_SAFE_INTEGER, keyId: '' };
      const rows = store.transaction(() =>
        organizationId === undefined
          ? statements.list.all(createdAtMs, keyId, limit + 1)
          : statements.listOfOrganization.all(organizationId, createdAtMs, keyId, limit + 1),
      );
      const records = rows.slice(0, limit).map(recordOf);
      const last = records.at(-1);
      return { records, next: rows.length > limit && last ? formatCursor(last) : undefined };
    },
    revoke: async (keyId, atMs) =>
      store.transaction(() => {
        statements.revoke.run(atMs, keyId);
        return find(keyId);
      }),
    rotate: async (keyId, from, { hash, previous }) =>
      store.transaction(() => {
        const known = find(keyId)?.hash;
        if (known === from) statements.rotate.run(hash, JSON.stringify(previous), keyId);
        return known === from || known === hash;
      }),
    touch: async (keyId, atMs) => store.transaction(() => void statements.touch.run(atMs, keyId)),
  };
}

function prepare({ database }: SqliteStore) {
  const page = '(created_at_ms, key_id) < (?, ?) ORDER BY created_at_ms DESC, key_id DESC LIMIT ?';
  return {
    find: database.prepare(
      `SELECT * FROM auth_keys LEFT JOIN auth_disabled_users ON user_id = record ->> '$.userId' WHERE key_id = ?`,
    ),
    add: database.prepare(
      `INSERT INTO auth_keys (key_id, organization_id, created_at_ms, revoked_at_ms, last_used_at_ms, record)
       VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    ),
    claimFirst: database.prepare('INSERT INTO auth_first_key VALUES (1, ?) ON CONFLICT DO NOTHING'),
    first: database.prepare('SELECT key_id FROM auth_first_key'),
    list: database.prepare(`SELECT * FROM auth_keys WHERE ${page}`),
    listOfOrganization: database.prepare(`SELECT * FROM auth_keys WHERE organization_id = ? AND ${page}`),
    revoke: database.prepare('UPDATE auth_keys SET revoked_at_ms = ? WHERE key_id = ? AND revoked_at_ms IS NULL'),
    rotate: database.prepare('UPDATE auth_keys SET hash = ?, previous = ? WHERE key_id = ?'),
    touch: database.prepare('UPDATE auth_keys SET last_used_at_ms = ? WHERE key_id = ?'),
  };
}

function recordOf(row: Row): KeyRecord {
  const record = JSON.parse(String(row.record)) as Omit<KeyRecord, 'keyId' | 'organizationId' | 'createdAtMs'>;
  return {
    ...record,
    hash: row.hash === null ? record.hash : String(row.hash),
    previous: row.previous === null ? [] : (JSON.parse(String(row.previous)) as PreviousSecret[]),
    keyId: String(row.key_id),
    organizationId: String(row.organization_id),
    createdAtMs: Number(row.created_at_ms),
    revokedAtMs: row.revoked_at_ms === null ? undefined : Number(row.revoked_at_ms),
    lastUsedAtMs: row.last_used_at_ms === null ? undefined : Number(row.last_used_at_ms),
  };
}
