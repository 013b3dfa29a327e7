import type { SQLInputValue, SQLOutputValue } from 'node:sqlite';
import type { SqliteStore } from '../../shared/store/sqlite.ts';
import { CLOCK_SLACK_MS } from '../budget.ts';
import { type LeaseState, RETENTION_MS, remembered } from '../lease.ts';
import { decodeCounted, encodeCounted } from './counted-codec.ts';
import { decodeEnded, encodeEnded } from './ended-lease-codec.ts';
import type { KeptLease } from './kept-lease.ts';
import type { HeldLease } from './quota-store.ts';
import { SqliteRecordLog } from './sqlite-record-log.ts';

/**
 * The leases in SQLite: those that may still change in a table, those that ended in a log. What is kept is written by flush; every
 * method is part of the caller's transaction.
 */
export interface SqliteLeases {
  readonly log: SqliteRecordLog;
  /** The lease as far as it is still remembered at `nowMs`. */
  find(reservationId: string, nowMs: number): KeptLease | undefined;
  keep(lease: KeptLease): void;
  /** Writes every lease that changed, once. */
  flush(): void;
  /** Forgets all that is remembered of the file. */
  forget(): void;
  /** Of what is written: those that are over, held ones and expired ones that were remembered long enough, the oldest first. */
  due(nowMs: number, limit: number): KeptLease[];
  /** Drops one that is due and not held. */
  drop(lease: KeptLease): void;
  /** Drops ended ones that were remembered long enough, at most `blocks` blocks of them. */
  dropEnded(blocks: number, nowMs: number): void;
  /** Of what is written: those that are held, the oldest first, after one of them; '' and 0: from the first on. */
  held(after: Pick<HeldLease, 'takenAtMs' | 'reservationId'>, limit: number): KeptLease[];
}

/** Held leases that are remembered after they were written. */
const REMEMBERED = 5_000;

/** Prepares the statements. */
export function createSqliteLeases(store: SqliteStore): SqliteLeases {
  const { database } = store;
  const log = new SqliteRecordLog(store, 'quota_lease_blocks');
  const ids = database.prepare('SELECT reservation_id FROM quota_leases');
  const find = database.prepare('SELECT * FROM quota_leases WHERE reservation_id = ?');
  const write = database.prepare(
    'REPLACE INTO quota_leases VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const due = database.prepare('SELECT * FROM quota_leases WHERE due_ms <= ? ORDER BY due_ms LIMIT ?');
  const drop = database.prepare('DELETE FROM quota_leases WHERE reservation_id = ?');
  const held = database.prepare(
    `SELECT * FROM quota_leases WHERE state = 'held' AND (taken_at_ms, reservation_id) > (?, ?)
     ORDER BY taken_at_ms, reservation_id LIMIT ?`,
  );
  /** Held ones as they are written. */
  const written = new Map<string, KeptLease>();
  const changed = new Map<string, KeptLease>();
  /** All that are in the table; undefined: not read yet. */
  let inTable: Set<string> | undefined;

  const rows = (): Set<string> => {
    inTable ??= new Set(ids.all().map((row) => String(row.reservation_id)));
    return inTable;
  };

  function read(reservationId: string): KeptLease | undefined {
    if (rows().has(reservationId)) {
      const row = find.get(reservationId);
      return row && keptLease(row);
    }
    return log.get(reservationId, (bytes, begin, end) => decodeEnded(reservationId, bytes.subarray(begin, end)));
  }

  function writeOne(lease: KeptLease): void {
    const { reservationId, state } = lease;
    if (state === 'held') written.set(reservationId, { ...lease, counters: [] });
    else written.delete(reservationId);
    if (state === 'held' || state === 'expired') {
      write.run(...rowOf(lease));
      rows().add(reservationId);
      return;
    }
    if (rows().delete(reservationId)) drop.run(reservationId);
    // Another of the same id may be there, long forgotten: the later one counts.
    log.put(reservationId, encodeEnded(lease), false);
  }

  return {
    log,
    find(reservationId, nowMs) {
      return remembered(changed.get(reservationId) ?? written.get(reservationId) ?? read(reservationId), nowMs);
    },
    keep: (lease) => void changed.set(lease.reservationId, lease),
    flush() {
      if (written.size > REMEMBERED) written.clear();
      for (const lease of changed.values()) writeOne(lease);
      changed.clear();
      log.flush();
    },
    forget() {
      written.clear();
      changed.clear();
      inTable = undefined;
    },
    due: (nowMs, limit) => due.all(nowMs, limit).map(keptLease),
    drop({ reservationId }) {
      drop.run(reservationId);
      rows().delete(reservationId);
    },
    dropEnded(blocks, nowMs) {
      let isOver = true;
      for (let [at, looked] = [0, 0]; isOver && looked < blocks; looked += 1) {
        at = log.walk(at, 1, (id, bytes) => {
          isOver = nowMs >= decodeEnded(id, bytes).endedAtMs + RETENTION_MS + CLOCK_SLACK_MS;
          return isOver ? 'drop' : 'stay';
        });
        if (at === 0) return;
      }
    },
    held: (after, limit) => held.all(after.takenAtMs, after.reservationId, limit).map(keptLease),
  };
}

function rowOf(lease: KeptLease): SQLInputValue[] {
  const { state, holder, expiresAtMs, endedAtMs } = lease;
  const dueMs = state === 'held' ? expiresAtMs : endedAtMs + RETENTION_MS + CLOCK_SLACK_MS;
  return [
    ...[lease.reservationId, lease.operationId, state, holder.keyId, holder.userId, holder.organizationId],
    ...[
      lease.model,
      encodeCounted(lease.limits),
      lease.isCounted ? 1 : 0,
      lease.promptBound,
      lease.promptTokens ?? null,
    ],
    ...[lease.completionTokens, lease.coveredTokens, lease.maxCompletionTokens],
    ...[lease.takenAtMs, expiresAtMs, endedAtMs, dueMs],
  ];
}

function keptLease(row: Record<string, SQLOutputValue>): KeptLease {
  return {
    reservationId: String(row.reservation_id),
    operationId: String(row.operation_id),
    holder: {
      keyId: String(row.key_id),
      userId: String(row.user_id),
      organizationId: String(row.organization_id),
    },
    model: String(row.model),
    limits: row.limits === '' ? [] : decodeCounted(String(row.limits)),
    state: row.state as LeaseState,
    isCounted: row.is_counted === 1,
    promptBound: Number(row.prompt_bound),
    promptTokens: row.prompt_tokens === null ? undefined : Number(row.prompt_tokens),
    completionTokens: Number(row.completion_tokens),
    coveredTokens: Number(row.covered_tokens),
    maxCompletionTokens: Number(row.max_completion_tokens),
    takenAtMs: Number(row.taken_at_ms),
    expiresAtMs: Number(row.expires_at_ms),
    endedAtMs: Number(row.ended_at_ms),
  };
}
