/** The tables of quota; see migrateSqlite. */
export const QUOTA_MIGRATIONS: readonly string[] = [
  `CREATE TABLE quota_counters (
     counter TEXT PRIMARY KEY,
     state BLOB NOT NULL,
     -- From then on the counter says nothing and may go.
     idle_at_ms INTEGER NOT NULL
   ) WITHOUT ROWID;

   CREATE TABLE quota_leases (
     reservation_id TEXT PRIMARY KEY,
     operation_id TEXT NOT NULL,
     state TEXT NOT NULL CHECK (state IN ('held', 'settled', 'released', 'expired')),
     key_id TEXT NOT NULL,
     user_id TEXT NOT NULL,
     organization_id TEXT NOT NULL,
     model TEXT NOT NULL,
     -- JSON: [[counter, length of its step in ms or 0], …] of what was taken.
     charges TEXT NOT NULL,
     taken_at_ms INTEGER NOT NULL,
     expires_at_ms INTEGER NOT NULL,
     ended_at_ms INTEGER NOT NULL DEFAULT 0,
     prompt_tokens INTEGER NOT NULL DEFAULT 0,
     completion_tokens INTEGER NOT NULL DEFAULT 0,
     engine TEXT NOT NULL DEFAULT '',
     -- When the sweeper must look at it: a held one to expire it, an ended one to drop it.
     due_ms INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE INDEX quota_leases_due ON quota_leases (due_ms);

   CREATE TABLE quota_usage (
     -- Days since 1970-01-01, UTC.
     day INTEGER NOT NULL,
     key_id TEXT NOT NULL,
     user_id TEXT NOT NULL,
     organization_id TEXT NOT NULL,
     model TEXT NOT NULL,
     engine TEXT NOT NULL,
     requests INTEGER NOT NULL,
     prompt_tokens INTEGER NOT NULL,
     completion_tokens INTEGER NOT NULL,
     PRIMARY KEY (day, key_id, user_id, organization_id, model, engine)
   ) WITHOUT ROWID;`,
];
