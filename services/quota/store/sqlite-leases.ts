import type { SQLInputValue, SQLOutputValue } from 'node:sqlite';
import type { SqliteStore } from '../../shared/store/sqlite.ts';
import { CLOCK_SLACK_MS } from '../budget.ts';
import { type Lease, type LeaseState, RETENTION_MS, remembered } from '../lease.ts';
import { decodeCounted, encodeCounted } from './counted-codec.ts';
import type { Counted, HeldLease, Holder } from './quota-store.ts';

/** A lease and what its ending needs besides. */
export interface KeptLease extends Lease {
  readonly reservationId: string;
  readonly operationId: string;
  readonly holder: Holder;
  readonly model: string;
  readonly limits: readonly Counted[];
}

/** The leases in SQLite. What is kept is written by flush; every method is part of the caller's transaction. */
export interface SqliteLeases {
  /** The lease as far as it is still remembered at `nowMs`. */
  find(reservationId: string, nowMs: number): KeptLease | undefined;
  keep(lease: KeptLease): void;
  /** Writes every lease that changed, once. */
  flush(): void;
  /** Forgets all that is remembered of the file. */
  forget(): void;
  /** Of what is written: those that are over, held ones and ended ones that were remembered long enough, the oldest first. */
  due(nowMs: number, limit: number): KeptLease[];
  /** Drops one that is due and not held. */
  drop(lease: KeptLease): void;
  /** Of what is written: those that are held, the oldest first, after one of them; '' and 0: from the first on. */
  held(after: Pick<HeldLease, 'takenAtMs' | 'reservationId'>, limit: number): KeptLease[];
}

/** Held leases that are remembered after they were written. */
const REMEMBERED = 5_000;

/** Prepares the statements. */
export function createSqliteLeases({ database }: SqliteStore): SqliteLeases {
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

  return {
    find(reservationId, nowMs) {
      const known = changed.get(reservationId) ?? written.get(reservationId);
      if (known) return remembered(known, nowMs);
      const row = find.get(reservationId);
      return row && remembered(keptLease(row), nowMs);
    },
    keep: (lease) => void changed.set(lease.reservationId, lease),
    flush() {
      if (written.size > REMEMBERED) written.clear();
      for (const lease of changed.values()) {
        write.run(...rowOf(lease));
        if (lease.state === 'held') written.set(lease.reservationId, lease);
        else written.delete(lease.reservationId);
      }
      changed.clear();
    },
    forget() {
      written.clear();
      changed.clear();
    },
    due: (nowMs, limit) => due.all(nowMs, limit).map(keptLease),
    drop: ({ reservationId }) => void drop.run(reservationId),
    held: (after, limit) => held.all(after.takenAtMs, after.reservationId, limit).map(keptLease),
  };
}

function rowOf(lease: KeptLease): SQLInputValue[] {
  const { state, holder, expiresAtMs, endedAtMs } = lease;
  // An ended lease has no use for its limits, unless it expired: it may be settled late.
  const limits = state === 'held' || state === 'expired' ? encodeCounted(lease.limits) : '';
  const dueMs = state === 'held' ? expiresAtMs : endedAtMs + RETENTION_MS + CLOCK_SLACK_MS;
  return [
    ...[lease.reservationId, lease.operationId, state, holder.keyId, holder.userId, holder.organizationId],
    ...[lease.model, limits, lease.isCounted ? 1 : 0, lease.promptBound, lease.promptTokens ?? null],
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
