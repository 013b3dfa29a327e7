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

  // Tokens are limited too: counters hold, leases keep their limits and figures. The ledger lies in the order in which it is
  // read. Leases that ran when the process ended count as one request without tokens; windows begin anew.
  `DELETE FROM quota_counters;

   CREATE TABLE quota_ledger (
     -- Days since 1970-01-01, UTC.
     day INTEGER NOT NULL,
     organization_id TEXT NOT NULL,
     key_id TEXT NOT NULL,
     user_id TEXT NOT NULL,
     model TEXT NOT NULL,
     engine TEXT NOT NULL,
     requests INTEGER NOT NULL,
     prompt_tokens INTEGER NOT NULL,
     completion_tokens INTEGER NOT NULL,
     PRIMARY KEY (day, organization_id, key_id, user_id, model, engine)
   ) WITHOUT ROWID;
   INSERT INTO quota_ledger
     SELECT day, organization_id, key_id, user_id, model, engine, requests, prompt_tokens, completion_tokens
     FROM quota_usage;
   INSERT INTO quota_ledger
     SELECT expires_at_ms / 86400000, organization_id, key_id, user_id, model, '', count(*), 0, 0
     FROM quota_leases WHERE state = 'held' GROUP BY 1, 2, 3, 4, 5
     ON CONFLICT DO UPDATE SET requests = requests + excluded.requests;
   DROP TABLE quota_usage;

   ALTER TABLE quota_leases RENAME TO quota_leases_1;
   DROP INDEX quota_leases_due;
   CREATE TABLE quota_leases (
     reservation_id TEXT PRIMARY KEY,
     operation_id TEXT NOT NULL,
     state TEXT NOT NULL CHECK (state IN ('held', 'settled', 'released', 'expired')),
     key_id TEXT NOT NULL,
     user_id TEXT NOT NULL,
     organization_id TEXT NOT NULL,
     model TEXT NOT NULL,
     -- See counted-codec.ts; empty when nothing can come of it any more.
     limits TEXT NOT NULL,
     is_counted INTEGER NOT NULL,
     prompt_bound INTEGER NOT NULL,
     -- NULL: not told yet.
     prompt_tokens INTEGER,
     completion_tokens INTEGER NOT NULL,
     covered_tokens INTEGER NOT NULL,
     max_completion_tokens INTEGER NOT NULL,
     taken_at_ms INTEGER NOT NULL,
     expires_at_ms INTEGER NOT NULL,
     ended_at_ms INTEGER NOT NULL,
     -- When the sweeper must look at it: a held one to expire it, an ended one to drop it.
     due_ms INTEGER NOT NULL
   ) WITHOUT ROWID;
   INSERT INTO quota_leases
     SELECT reservation_id, operation_id, iif(state = 'held', 'expired', state), key_id, user_id, organization_id, model,
       '', 1, 0, prompt_tokens, completion_tokens, completion_tokens, completion_tokens, taken_at_ms, expires_at_ms,
       iif(state = 'held', expires_at_ms, ended_at_ms), iif(state = 'held', expires_at_ms + 600000, due_ms)
     FROM quota_leases_1;
   DROP TABLE quota_leases_1;
   CREATE INDEX quota_leases_due ON quota_leases (due_ms);
   CREATE INDEX quota_leases_held ON quota_leases (taken_at_ms, reservation_id) WHERE state = 'held';

   -- What happened to leases and is not in the other tables yet; see sqlite-journal.ts.
   CREATE TABLE quota_journal (
     sequence INTEGER PRIMARY KEY,
     -- JSON, one transaction's.
     entries TEXT NOT NULL
   );

   CREATE TABLE quota_subject_limits (
     subject TEXT PRIMARY KEY,
     -- JSON, as SetLimits was told.
     limits TEXT NOT NULL
   ) WITHOUT ROWID;
   CREATE TABLE quota_limits_version (
     only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
     version INTEGER NOT NULL
   );
   INSERT INTO quota_limits_version VALUES (1, 0);`,

  // What changes is written in the order in which it changes, so that a request of anyone touches no page of its own. The
  // counters of version 2 are moved by adoptCounters. Ended leases of version 2 stay where they are until they are dropped.
  `CREATE TABLE quota_counter_blocks (
     block INTEGER PRIMARY KEY,
     -- See record-block.ts: counters by name; their bytes see limit-state-codec.ts.
     records BLOB NOT NULL
   );
   CREATE TABLE quota_lease_blocks (
     block INTEGER PRIMARY KEY,
     -- Settled and released leases by reservation id; their bytes see ended-lease-codec.ts.
     records BLOB NOT NULL
   );
   CREATE TABLE quota_ledger_queue (
     sequence INTEGER PRIMARY KEY,
     -- 1: what is in quota_ledger already, with negative sums.
     is_taken INTEGER NOT NULL,
     -- JSON, rows as quota_ledger has them.
     entries TEXT NOT NULL
   );
   CREATE TABLE quota_writer (
     only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
     -- A random number of the connection that wrote last.
     writer INTEGER NOT NULL
   );
   INSERT INTO quota_writer VALUES (1, 0);`,
];
