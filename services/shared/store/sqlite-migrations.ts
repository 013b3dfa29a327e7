import { ConfigError } from '../lifecycle/config-source.ts';
import type { SqliteStore } from './sqlite.ts';

const VERSIONS = 'CREATE TABLE IF NOT EXISTS schema_versions (service TEXT PRIMARY KEY, version INTEGER NOT NULL)';

/**
 * Brings the tables of one service to the version that this build knows: `migrations[n]` leads from version n to n + 1.
 * All steps are one transaction. A released step never changes; a change is a new step at the end.
 *
 * @throws ConfigError when the file was written by a newer version.
 */
export function migrateSqlite(store: SqliteStore, service: string, migrations: readonly string[]): void {
  const { database } = store;
  store.transaction(() => {
    database.exec(VERSIONS);
    const row = database.prepare('SELECT version FROM schema_versions WHERE service = ?').get(service);
    const version = Number(row?.version ?? 0);
    if (version > migrations.length) {
      throw new ConfigError(
        `store ${database.location() ?? ''}: its ${service} tables have version ${version}, written by a newer ` +
          `inference-mesh; this one knows ${migrations.length}. Run the newer one, or choose another data directory.`,
      );
    }
    for (const step of migrations.slice(version)) database.exec(step);
    database
      .prepare('INSERT INTO schema_versions VALUES (?, ?) ON CONFLICT DO UPDATE SET version = excluded.version')
      .run(service, migrations.length);
  });
}
