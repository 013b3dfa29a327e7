/** The tables of tasks; see migrateSqlite. */
export const TASKS_MIGRATIONS: readonly string[] = [
  `CREATE TABLE tasks_tasks (
     -- In the order of submission.
     seq INTEGER PRIMARY KEY,
     task_id TEXT NOT NULL UNIQUE,
     owner TEXT NOT NULL,
     end_user TEXT NOT NULL,
     -- 'queued', 'delayed' (queued, but not before not_before_ms), 'processing', 'completed', 'failed'.
     state TEXT NOT NULL,
     organization TEXT NOT NULL,
     priority INTEGER NOT NULL,
     tag INTEGER NOT NULL,
     work BLOB NOT NULL,
     attempt INTEGER NOT NULL DEFAULT 0,
     consumed_attempts INTEGER NOT NULL DEFAULT 0,
     -- Which attempt ended it; 0: none, somebody cancelled it.
     ended_attempt INTEGER NOT NULL DEFAULT 0,
     last_event INTEGER NOT NULL DEFAULT 0,
     -- Delta events of the present attempt.
     deltas INTEGER NOT NULL DEFAULT 0,
     submitted_at_ms INTEGER NOT NULL,
     started_at_ms INTEGER,
     ended_at_ms INTEGER,
     not_before_ms INTEGER,
     lease_ends_ms INTEGER,
     expires_at_ms INTEGER,
     result TEXT,
     failure_type TEXT,
     failure_message TEXT,
     prompt_tokens INTEGER,
     completion_tokens INTEGER
   );
   CREATE INDEX tasks_waiting ON tasks_tasks (priority, tag, seq) WHERE state = 'queued';
   CREATE INDEX tasks_delayed ON tasks_tasks (not_before_ms) WHERE state = 'delayed';
   CREATE INDEX tasks_leased ON tasks_tasks (lease_ends_ms) WHERE state = 'processing';
   CREATE INDEX tasks_expiring ON tasks_tasks (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
   CREATE INDEX tasks_by_owner ON tasks_tasks (owner, seq);

   CREATE TABLE tasks_keys (
     owner TEXT NOT NULL,
     idempotency_key TEXT NOT NULL,
     fingerprint TEXT NOT NULL,
     seq INTEGER NOT NULL,
     PRIMARY KEY (owner, idempotency_key)
   ) WITHOUT ROWID;
   CREATE INDEX tasks_keys_by_task ON tasks_keys (seq);

   CREATE TABLE tasks_events (
     seq INTEGER NOT NULL,
     event_id INTEGER NOT NULL,
     -- 'queued', 'processing', 'delta', 'ended'.
     kind TEXT NOT NULL,
     -- The text of a delta, the number of an attempt that begins.
     value NOT NULL,
     PRIMARY KEY (seq, event_id)
   ) WITHOUT ROWID;

   -- How far each priority has come; the last tag of each organisation with tasks in its queue, and how many those are.
   CREATE TABLE tasks_lines (priority INTEGER PRIMARY KEY, served_tag INTEGER NOT NULL);
   CREATE TABLE tasks_shares (
     priority INTEGER NOT NULL,
     organization TEXT NOT NULL,
     last_tag INTEGER NOT NULL,
     waiting INTEGER NOT NULL,
     PRIMARY KEY (priority, organization)
   ) WITHOUT ROWID;

   -- How many wait in each stretch of the order, per level; see sqlite-stretches.ts. A stretch reaches to the next one.
   CREATE TABLE tasks_stretches (
     level INTEGER NOT NULL,
     priority INTEGER NOT NULL,
     first_tag INTEGER NOT NULL,
     first_seq INTEGER NOT NULL,
     waiting INTEGER NOT NULL,
     PRIMARY KEY (level, priority, first_tag, first_seq)
   ) WITHOUT ROWID;`,
];
