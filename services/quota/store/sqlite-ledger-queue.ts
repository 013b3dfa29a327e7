import type { SqliteStore } from '../../shared/store/sqlite.ts';
import type { UsageEntry } from './quota-store.ts';

/** A row of the ledger: day, organisation, key, user, model, engine; then what is added to its sums. */
export type LedgerRow = [
  ...[day: number, organizationId: string, keyId: string, userId: string, model: string, engine: string],
  ...[requests: number, promptTokens: number, completionTokens: number],
];

/**
 * What the ledger's table does not have yet. What was taken out and is in the table stands here once more, with its sums negative,
 * until all of it is taken: so at any moment table and queue together make the ledger, in a few bytes at the end.
 *
 * Every method is part of the caller's transaction.
 */
export interface SqliteLedgerQueue {
  add(entry: UsageEntry): void;
  /** Writes what was added, one row once. */
  flush(): void;
  /** Rows that wait. */
  length(): number;
  /** Whether a take goes on that has not come to its end. */
  isTaking(): boolean;
  /** The next of the rows that waited when the first of them was taken, summed and in their order. */
  take(rows: number): LedgerRow[];
  /** Forgets all that is remembered of the file. */
  forget(): void;
}

/** Prepares the statements. */
export function createSqliteLedgerQueue({ database }: SqliteStore): SqliteLedgerQueue {
  const insert = database.prepare('INSERT INTO quota_ledger_queue (is_taken, entries) VALUES (?, ?)');
  const select = database.prepare('SELECT sequence, is_taken, entries FROM quota_ledger_queue ORDER BY sequence');
  const count = database.prepare(
    'SELECT sum(json_array_length(entries)) AS length FROM quota_ledger_queue WHERE is_taken = 0',
  );
  const drop = database.prepare('DELETE FROM quota_ledger_queue WHERE is_taken = 1 OR sequence <= ?');
  const added = new Map<string, LedgerRow>();
  let length: number | undefined;
  let taking:
    | { readonly rows: readonly LedgerRow[]; next: number; readonly last: number; readonly waited: number }
    | undefined;

  const waiting = (): number => {
    length ??= Number(count.get()?.length ?? 0);
    return length;
  };

  function begin(): NonNullable<typeof taking> {
    const stored = select.all();
    const sums = new Map<string, LedgerRow>();
    for (const { entries } of stored) {
      for (const row of JSON.parse(String(entries)) as LedgerRow[]) addTo(sums, row);
    }
    return {
      rows: [...sums.values()].sort(compare),
      next: 0,
      last: Number(stored.at(-1)?.sequence ?? 0),
      waited: waiting(),
    };
  }

  return {
    add({ day, organizationId, keyId, userId, model, engine, requests, promptTokens, completionTokens }) {
      const figures = [requests, promptTokens, completionTokens] as const;
      addTo(added, [day, organizationId, keyId, userId, model, engine, ...figures]);
    },
    flush() {
      if (added.size === 0) return;
      length = waiting() + added.size;
      insert.run(0, JSON.stringify([...added.values()]));
      added.clear();
    },
    length: waiting,
    isTaking: () => taking !== undefined,
    take(rows) {
      taking ??= begin();
      const { next, last, waited } = taking;
      const taken = taking.rows.slice(next, next + rows);
      taking.next += taken.length;
      if (taking.next < taking.rows.length) {
        const negative = taken.map((row) => row.map((field, i) => (i < FIGURES ? field : -Number(field))));
        insert.run(1, JSON.stringify(negative));
      } else {
        drop.run(last);
        length = waiting() - waited;
        taking = undefined;
      }
      return taken;
    },
    forget() {
      added.clear();
      length = undefined;
      taking = undefined;
    },
  };
}

/** The first of a row's figures. */
const FIGURES = 6;

function addTo(sums: Map<string, LedgerRow>, row: LedgerRow): void {
  const key = keyOf(row);
  const known = sums.get(key);
  if (!known) {
    sums.set(key, row);
    return;
  }
  const sum = known.slice() as LedgerRow;
  sum[6] += row[6];
  sum[7] += row[7];
  sum[8] += row[8];
  sums.set(key, sum);
}

/** A text that no other row has, whatever the names are. */
function keyOf([day, organizationId, keyId, userId, model, engine]: LedgerRow): string {
  const lengths = `${day} ${organizationId.length} ${keyId.length} ${userId.length} ${model.length} `;
  return lengths + organizationId + keyId + userId + model + engine;
}

function compare(one: LedgerRow, other: LedgerRow): number {
  for (let i = 0; i < FIGURES; i += 1) {
    const [a, b] = [one[i] ?? 0, other[i] ?? 0];
    if (a !== b) return a < b ? -1 : 1;
  }
  return 0;
}
