import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closeSqlite, openSqlite, type SqliteStore } from '../../shared/store/sqlite.ts';

/** A store in a file of its own. */
export interface SqliteFile {
  readonly store: SqliteStore;
  /** Closes and deletes it. */
  remove(): void;
}

/** Opens an empty one. */
export function openSqliteFile(): SqliteFile {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-tasks-'));
  const store = openSqlite(join(directory, 'mesh.db'));
  return {
    store,
    remove() {
      closeSqlite(store);
      rmSync(directory, { recursive: true });
    },
  };
}
