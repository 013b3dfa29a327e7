import type { SqliteStore } from '../../shared/store/sqlite.ts';
import { SqliteRecordLog } from './sqlite-record-log.ts';

/** Moves the counters of version 2 of the file, a row each, into blocks; once. Its bytes had no time at their beginning. */
export function adoptCounters(store: SqliteStore): void {
  const { database } = store;
  store.transaction(() => {
    const isThere = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'quota_counters'").get();
    if (!isThere) return;
    const log = new SqliteRecordLog(store, 'quota_counter_blocks');
    for (const { counter, state, idle_at_ms } of database.prepare('SELECT * FROM quota_counters').iterate()) {
      if (!(state instanceof Uint8Array)) continue;
      const bytes = new Uint8Array(8 + state.length);
      new DataView(bytes.buffer).setFloat64(0, Number(idle_at_ms), true);
      bytes.set(state, 8);
      log.put(String(counter), bytes, false);
    }
    log.flush();
    database.exec('DROP TABLE quota_counters');
  });
}
