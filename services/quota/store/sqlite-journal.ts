import type { SqliteStore } from '../../shared/store/sqlite.ts';
import type { Progress } from '../admission.ts';
import type { Consumption } from '../lease.ts';
import { decodeCounted, encodeCounted } from './counted-codec.ts';
import type { Reservation } from './quota-store.ts';

/** Something that happened to a lease, with its time in milliseconds since the epoch. */
export type JournalEntry =
  | readonly ['reserved', nowMs: number, reservation: Reservation]
  | readonly ['extended', nowMs: number, reservationId: string, progress: Progress, holdMs: number]
  | readonly ['settled', nowMs: number, reservationId: string, used: Consumption & { readonly engine: string }]
  | readonly ['released', nowMs: number, reservationId: string];

/**
 * What happened to leases since the tables were last written. A transaction adds one row at the end of one table instead of
 * changing a dozen pages all over the file; after some hundred entries the tables are written at once and the journal is
 * emptied. Whoever opens the file, or finds that another connection wrote to it, does again what the journal says: the
 * arithmetic is exact, so that leads to the same state.
 */
export interface SqliteJournal {
  reserved(nowMs: number, reservation: Reservation): void;
  extended(nowMs: number, reservationId: string, progress: Progress, holdMs: number): void;
  settled(nowMs: number, reservationId: string, used: Consumption & { readonly engine: string }): void;
  released(nowMs: number, reservationId: string): void;
  /** Entries that the tables do not have. */
  length(): number;
  /** Writes what was added in this transaction. */
  append(): void;
  /** All entries, in order. */
  read(): JournalEntry[];
  /** The tables have them all. */
  empty(): void;
  /** Forgets what was added and not written; so many are written. */
  forget(written?: number): void;
}

/** Prepares the statements. */
export function createSqliteJournal({ database }: SqliteStore): SqliteJournal {
  const insert = database.prepare('INSERT INTO quota_journal (entries) VALUES (?)');
  const select = database.prepare('SELECT entries FROM quota_journal ORDER BY sequence');
  const clear = database.prepare('DELETE FROM quota_journal');
  let added: string[] = [];
  let length = 0;

  function add(entry: string): void {
    added.push(entry);
    length += 1;
  }

  return {
    reserved(nowMs, { limits, holder, ...rest }) {
      // A caller may hand over more than a holder is, a time in a bigint among it, which JSON has not.
      const { keyId, userId, organizationId } = holder;
      const fields = JSON.stringify({ ...rest, holder: { keyId, userId, organizationId } });
      // The limits are JSON already.
      add(`["reserved",${nowMs},${fields.slice(0, -1)},"limits":${encodeCounted(limits)}}]`);
    },
    extended: (nowMs, id, progress, holdMs) => add(JSON.stringify(['extended', nowMs, id, progress, holdMs])),
    settled: (nowMs, id, used) => add(JSON.stringify(['settled', nowMs, id, used])),
    released: (nowMs, id) => add(JSON.stringify(['released', nowMs, id])),
    length: () => length,
    append() {
      if (added.length > 0) insert.run(`[${added.join()}]`);
      added = [];
    },
    read: () => select.all().flatMap(({ entries }) => (JSON.parse(String(entries)) as JournalEntry[]).map(withLimits)),
    empty() {
      clear.run();
      added = [];
      length = 0;
    },
    forget(written = 0) {
      added = [];
      length = written;
    },
  };
}

function withLimits(entry: JournalEntry): JournalEntry {
  if (entry[0] !== 'reserved') return entry;
  const [kind, nowMs, reservation] = entry;
  // Version 2 of the file has a text there.
  const limits: unknown = reservation.limits;
  const text = typeof limits === 'string' ? limits : JSON.stringify(limits);
  return [kind, nowMs, { ...reservation, limits: decodeCounted(text) }];
}
