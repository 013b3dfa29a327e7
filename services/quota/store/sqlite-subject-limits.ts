import type { SqliteStore } from '../../shared/store/sqlite.ts';
import type { SubjectLimits } from './quota-store.ts';

/** What was set for subjects, in SQLite. Every method is part of the caller's transaction. */
export interface SqliteSubjectLimits {
  version(): number;
  read(): SubjectLimits;
  /** Returns the version after it. */
  replace(subject: string, limits: string | undefined): number;
  /** Forgets all that is remembered of the file. */
  forget(): void;
}

/** Prepares the statements. */
export function createSqliteSubjectLimits({ database }: SqliteStore): SqliteSubjectLimits {
  const select = database.prepare('SELECT version FROM quota_limits_version');
  const grow = database.prepare('UPDATE quota_limits_version SET version = version + 1');
  const all = database.prepare('SELECT subject, limits FROM quota_subject_limits');
  const upsert = database.prepare(
    `INSERT INTO quota_subject_limits VALUES (?, ?)
     ON CONFLICT DO UPDATE SET limits = excluded.limits WHERE limits <> excluded.limits`,
  );
  const drop = database.prepare('DELETE FROM quota_subject_limits WHERE subject = ?');
  let remembered: number | undefined;

  const version = (): number => {
    remembered ??= Number(select.get()?.version);
    return remembered;
  };
  return {
    version,
    read() {
      const bySubject = new Map(all.all().map(({ subject, limits }) => [String(subject), String(limits)]));
      return { version: version(), bySubject };
    },
    replace(subject, limits) {
      const { changes } = limits === undefined ? drop.run(subject) : upsert.run(subject, limits);
      if (Number(changes) > 0) grow.run();
      remembered = undefined;
      return version();
    },
    forget() {
      remembered = undefined;
    },
  };
}
