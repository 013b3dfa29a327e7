import type { SQLOutputValue } from 'node:sqlite';
import type { SqliteStore } from '../../shared/store/sqlite.ts';
import { CLOCK_SLACK_MS } from '../budget.ts';
import { type Figures, type Lease, type LeaseState, RETENTION_MS, remembered } from '../lease.ts';
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

/** The leases in SQLite. Every method is part of the caller's transaction. */
export interface SqliteLeases {
  /** The lease as far as it is still remembered at `nowMs`. */
  find(reservationId: string, nowMs: number): KeptLease | undefined;
  add(lease: KeptLease): void;
  /** Keeps the figures of a lease that goes on until `expiresAtMs`. */
  renew(lease: KeptLease, figures: Figures, expiresAtMs: number): void;
  /** Keeps the figures of a lease that ended at `nowMs`. */
  end(lease: KeptLease, figures: Figures, nowMs: number): void;
  /** Leases that are over at `nowMs`, held ones and ended ones that were remembered long enough, the oldest first. */
  due(nowMs: number, limit: number): KeptLease[];
  drop(lease: KeptLease): void;
  /** Those that are held, the oldest first, after one of them; '' and 0: from the first on. */
  held(after: Pick<HeldLease, 'takenAtMs' | 'reservationId'>, limit: number): KeptLease[];
  /** Forgets all that is remembered of the file. */
  forget(): void;
}

/** Held leases that are remembered from one transaction to the next. */
const REMEMBERED = 5_000;

/** Prepares the statements. */
export function createSqliteLeases({ database }: SqliteStore): SqliteLeases {
  const find = database.prepare('SELECT * FROM quota_leases WHERE reservation_id = ?');
  const insert = database.prepare(
    // One that is forgotten may not have been dropped yet.
    "REPLACE INTO quota_leases VALUES (?, ?, 'held', ?, ?, ?, ?, ?, ?, ?, NULL, 0, ?, ?, ?, ?, 0, ?)",
  );
  const update = database.prepare(
    `UPDATE quota_leases SET state = ?, limits = ?, prompt_tokens = ?, completion_tokens = ?, covered_tokens = ?,
       expires_at_ms = ?, ended_at_ms = ?, due_ms = ? WHERE reservation_id = ?`,
  );
  const due = database.prepare('SELECT * FROM quota_leases WHERE due_ms <= ? ORDER BY due_ms LIMIT ?');
  const drop = database.prepare('DELETE FROM quota_leases WHERE reservation_id = ?');
  const held = database.prepare(
    `SELECT * FROM quota_leases WHERE state = 'held' AND (taken_at_ms, reservation_id) > (?, ?)
     ORDER BY taken_at_ms, reservation_id LIMIT ?`,
  );
  const running = new Map<string, KeptLease>();

  function remember(lease: KeptLease): void {
    if (running.size >= REMEMBERED) running.clear();
    running.set(lease.reservationId, lease);
  }

  return {
    find(reservationId, nowMs) {
      const known = running.get(reservationId);
      if (known) return known;
      const row = find.get(reservationId);
      return row && remembered(keptLease(row), nowMs);
    },
    add(lease) {
      const { holder } = lease;
      insert.run(
        ...[lease.reservationId, lease.operationId, holder.keyId, holder.userId, holder.organizationId, lease.model],
        ...[encodeCounted(lease.limits), lease.isCounted ? 1 : 0, lease.promptBound, lease.coveredTokens],
        ...[lease.maxCompletionTokens, lease.takenAtMs, lease.expiresAtMs, lease.expiresAtMs],
      );
      remember(lease);
    },
    renew(lease, figures, expiresAtMs) {
      const { promptTokens, completionTokens, coveredTokens } = figures;
      const told = [promptTokens ?? null, completionTokens, coveredTokens] as const;
      update.run('held', encodeCounted(lease.limits), ...told, expiresAtMs, 0, expiresAtMs, lease.reservationId);
      remember({ ...lease, ...figures, expiresAtMs });
    },
    end(lease, { state, promptTokens, completionTokens, coveredTokens }, nowMs) {
      const told = [promptTokens ?? null, completionTokens, coveredTokens] as const;
      // Only an expired lease may still change its limits, when it is settled late.
      const limits = state === 'expired' ? encodeCounted(lease.limits) : '';
      update.run(
        state,
        limits,
        ...told,
        lease.expiresAtMs,
        nowMs,
        nowMs + RETENTION_MS + CLOCK_SLACK_MS,
        lease.reservationId,
      );
      running.delete(lease.reservationId);
    },
    due: (nowMs, limit) => due.all(nowMs, limit).map(keptLease),
    drop: ({ reservationId }) => void drop.run(reservationId),
    held: (after, limit) => held.all(after.takenAtMs, after.reservationId, limit).map(keptLease),
    forget: () => running.clear(),
  };
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
