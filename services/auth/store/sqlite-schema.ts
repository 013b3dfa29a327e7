/** The tables of auth; see migrateSqlite. */
export const AUTH_MIGRATIONS: readonly string[] = [
  `CREATE TABLE auth_keys (
     key_id TEXT PRIMARY KEY,
     organization_id TEXT NOT NULL,
     created_at_ms INTEGER NOT NULL,
     revoked_at_ms INTEGER,
     last_used_at_ms INTEGER,
     -- The rest of the record as JSON; it never changes.
     record TEXT NOT NULL
   ) WITHOUT ROWID;
   CREATE INDEX auth_keys_by_age ON auth_keys (created_at_ms, key_id);
   CREATE INDEX auth_keys_by_organization ON auth_keys (organization_id, created_at_ms, key_id);

   -- One row: the key that was made with the store.
   CREATE TABLE auth_first_key (one INTEGER PRIMARY KEY CHECK (one = 1), key_id TEXT NOT NULL);`,
  `CREATE TABLE auth_users (
     user_id TEXT PRIMARY KEY,
     organization_id TEXT NOT NULL,
     password_hash TEXT NOT NULL,
     password_changed_at_ms INTEGER NOT NULL,
     -- The rest of the record as JSON; it never changes.
     record TEXT NOT NULL
   ) WITHOUT ROWID;
   CREATE INDEX auth_users_by_organization ON auth_users (organization_id, user_id);

   -- Apart from the users, because those of the configuration stand in no table.
   CREATE TABLE auth_disabled_users (user_id TEXT PRIMARY KEY, disabled_at_ms INTEGER NOT NULL) WITHOUT ROWID;

   CREATE TABLE auth_organizations (
     organization_id TEXT PRIMARY KEY,
     tier TEXT NOT NULL,
     created_at_ms INTEGER NOT NULL
   ) WITHOUT ROWID;`,
  `-- Both are null until the first rotation; the hash of the record is that of the first secret.
   ALTER TABLE auth_keys ADD COLUMN hash TEXT;
   ALTER TABLE auth_keys ADD COLUMN previous TEXT;`,
  `-- One row: all signing keys as JSON, private ones sealed.
   CREATE TABLE auth_signing_keys (
     one INTEGER PRIMARY KEY CHECK (one = 1),
     version INTEGER NOT NULL,
     keys TEXT NOT NULL
   );

   CREATE TABLE auth_token_families (
     family_id TEXT PRIMARY KEY,
     user_id TEXT NOT NULL,
     password_changed_at_ms INTEGER NOT NULL,
     expires_at_ms INTEGER NOT NULL,
     hash TEXT NOT NULL
   ) WITHOUT ROWID;
   CREATE INDEX auth_token_families_by_end ON auth_token_families (expires_at_ms);`,
  `-- When disabled users were enabled again; apart from the users, because those of the configuration stand in no table.
   CREATE TABLE auth_enabled_users (user_id TEXT PRIMARY KEY, enabled_at_ms INTEGER NOT NULL) WITHOUT ROWID;`,
];
