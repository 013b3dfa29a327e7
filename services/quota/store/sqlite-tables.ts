import type { GroupOwner } from '../../shared/store/group-commit.ts';
import type { SqliteStore } from '../../shared/store/sqlite.ts';
import { createSqliteCounters } from './sqlite-counters.ts';
import { createSqliteJournal, type JournalEntry } from './sqlite-journal.ts';
import { extend, release, type SqliteTables, settle } from './sqlite-lease-operations.ts';
import { createSqliteLeases } from './sqlite-leases.ts';
import { createSqliteLedger } from './sqlite-ledger.ts';
import { reserveAgain } from './sqlite-reserve.ts';
import { createSqliteSubjectLimits } from './sqlite-subject-limits.ts';

/** Entries after which the tables are written. Measured: 8 ms in which nothing else runs, with 10,000 callers; more would be cheaper. */
const JOURNAL_ENTRIES = 512;

/** The tables and what keeps them, the journal and the file together. */
export interface KeptTables extends SqliteTables {
  readonly owner: GroupOwner;
  /** Writes the tables now, in the caller's transaction: what reads them by SQL finds them whole. */
  write(): void;
}

/** Prepares the tables. What is remembered of the file holds as long as no other connection writes to it. */
export function createTables(store: SqliteStore, now: () => number): KeptTables {
  const dataVersion = store.database.prepare('PRAGMA data_version');
  const tables: SqliteTables = {
    journal: createSqliteJournal(store),
    counters: createSqliteCounters(store),
    leases: createSqliteLeases(store),
    ledger: createSqliteLedger(store),
    subjects: createSqliteSubjectLimits(store),
  };
  const { journal, counters, leases, ledger } = tables;
  let seen: unknown;
  let isForgotten = true;

  function forget(): void {
    for (const table of Object.values(tables) as { forget(): void }[]) table.forget();
    isForgotten = true;
  }

  function write(): void {
    counters.flush(now());
    leases.flush();
    ledger.flush();
    if (journal.length() > 0) journal.empty();
  }

  return {
    ...tables,
    write,
    owner: {
      begun() {
        const version = dataVersion.get()?.data_version;
        if (version === seen && !isForgotten) return;
        forget();
        const entries = journal.read();
        for (const entry of entries) repeat(tables, entry);
        // Two connections that take turns would else repeat ever more.
        if (version === seen) journal.forget(entries.length);
        else write();
        seen = version;
        isForgotten = false;
      },
      flush() {
        if (journal.length() < JOURNAL_ENTRIES) journal.append();
        else write();
      },
      undone: forget,
    },
  };
}

function repeat(tables: SqliteTables, entry: JournalEntry): void {
  const [kind, nowMs, what] = entry;
  switch (kind) {
    case 'reserved':
      reserveAgain(tables, what, nowMs);
      break;
    case 'extended':
      extend(tables, what, entry[3], { nowMs, holdMs: entry[4] });
      break;
    case 'settled':
      settle(tables, what, entry[3], nowMs);
      break;
    case 'released':
      release(tables, what, nowMs);
      break;
  }
}
