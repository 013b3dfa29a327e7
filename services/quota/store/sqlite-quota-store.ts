import type { SQLOutputValue } from 'node:sqlite';
import { setImmediate } from 'node:timers/promises';
import type { SqliteStore } from '../../shared/store/sqlite.ts';
import { migrateSqlite } from '../../shared/store/sqlite-migrations.ts';
import { type Ending, type Lease, type LeaseState, RETENTION_MS, releasing, settling } from '../lease.ts';
import type { Admission, Counted, Ended, QuotaStore, Reservation } from './quota-store.ts';
import { type Charge, createSqliteCounters } from './sqlite-counters.ts';
import { QUOTA_MIGRATIONS } from './sqlite-schema.ts';

const DAY_MS = 86_400_000;

/** Rows that one step of a sweep looks at: about 2 ms in which nothing else runs. */
const SWEEP_ROWS = 500;

/** Steps of one sweep, which bounds it. Leases end at most at SWEEP_ROWS × SWEEP_STEPS per sweep before they pile up. */
const SWEEP_STEPS = 40;

type Row = Record<string, SQLOutputValue>;

/** A lease and what its ending needs besides. */
interface KeptLease extends Lease {
  readonly operationId: string;
  readonly takenAtMs: number;
  readonly row: Row;
}

/**
 * Quota in the embedded store. `now` gives milliseconds since the epoch.
 *
 * @throws ConfigError when the file was written by a newer version.
 */
export function createSqliteQuotaStore(store: SqliteStore, now: () => number): QuotaStore {
  migrateSqlite(store, 'quota', QUOTA_MIGRATIONS);
  const statements = prepare(store);
  const counters = createSqliteCounters(store);

  function find(reservationId: string): KeptLease | undefined {
    const row = statements.find.get(reservationId);
    return row && keptLease(row);
  }

  function reserve(reservation: Reservation): Admission {
    const { reservationId, operationId, holder, limits } = reservation;
    const nowMs = now();
    const known = find(reservationId);
    if (known && known.operationId !== operationId) return { kind: 'taken' };
    if (known) {
      return { kind: 'admitted', expiresAtMs: known.expiresAtMs, statuses: counters.inspect(limits, nowMs) };
    }
    const { isAdmitted, statuses } = reservation.isCounted
      ? { isAdmitted: true, statuses: counters.inspect(limits, nowMs) }
      : counters.take(limits, nowMs);
    if (!isAdmitted) return { kind: 'refused', statuses };
    const charges = reservation.isCounted ? [] : limits.map(chargeOf);
    const expiresAtMs = nowMs + reservation.holdMs;
    const who = [holder.keyId, holder.userId, holder.organizationId, reservation.model] as const;
    statements.insert.run(
      ...[reservationId, operationId, ...who, JSON.stringify(charges), nowMs, expiresAtMs, expiresAtMs],
    );
    return { kind: 'admitted', expiresAtMs, statuses };
  }

  /** Carries an ending out, at most once. */
  function end(ending: Ending, act: (nowMs: number) => void, nowMs: number): Ended {
    if (ending.kind === 'repeated') return { kind: 'done', endedAtMs: ending.endedAtMs };
    if (ending.kind !== 'end') return ending;
    act(nowMs);
    return { kind: 'done', endedAtMs: nowMs };
  }

  return {
    reserve: async (reservation) => store.transaction(() => reserve(reservation)),
    inspect: async (limits) => store.transaction(() => counters.inspect(limits, now())),
    settle: async (reservationId, used) =>
      store.transaction(() => {
        const nowMs = now();
        const lease = find(reservationId);
        const { promptTokens, completionTokens, engine } = used;
        const settle = (): void => {
          const row = lease?.row ?? {};
          const figures = [promptTokens, completionTokens, engine] as const;
          statements.end.run('settled', nowMs, ...figures, nowMs + RETENTION_MS, reservationId);
          const who = ['key_id', 'user_id', 'organization_id', 'model'].map((name) => row[name] ?? '');
          statements.bill.run(Math.floor(nowMs / DAY_MS), ...who, engine, promptTokens, completionTokens);
        };
        return end(settling(lease, used, nowMs), settle, nowMs);
      }),
    release: async (reservationId) =>
      store.transaction(() => {
        const nowMs = now();
        const lease = find(reservationId);
        const release = (): void => {
          statements.end.run('released', nowMs, 0, 0, '', nowMs + RETENTION_MS, reservationId);
          counters.giveBack(JSON.parse(String(lease?.row.charges)) as Charge[], lease?.takenAtMs ?? 0);
        };
        return end(releasing(lease, nowMs), release, nowMs);
      }),
    async sweep() {
      for (let step = 0; step < SWEEP_STEPS; step += 1) {
        const dropped = store.transaction(() => {
          const nowMs = now();
          statements.expire.run(RETENTION_MS, nowMs, SWEEP_ROWS);
          if (step === 0) counters.dropIdle(SWEEP_ROWS, nowMs);
          return statements.drop.run(nowMs, SWEEP_ROWS).changes;
        });
        if (dropped === 0) return;
        await setImmediate();
      }
    },
  };
}

function prepare({ database }: SqliteStore) {
  const due = 'reservation_id IN (SELECT reservation_id FROM quota_leases WHERE due_ms <= ? ORDER BY due_ms LIMIT ?)';
  return {
    find: database.prepare('SELECT * FROM quota_leases WHERE reservation_id = ?'),
    insert: database.prepare(
      `INSERT INTO quota_leases (reservation_id, operation_id, state, key_id, user_id, organization_id, model, charges,
         taken_at_ms, expires_at_ms, due_ms) VALUES (?, ?, 'held', ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    end: database.prepare(
      `UPDATE quota_leases SET state = ?, ended_at_ms = ?, prompt_tokens = ?, completion_tokens = ?, engine = ?, due_ms = ?
       WHERE reservation_id = ?`,
    ),
    bill: database.prepare(
      `INSERT INTO quota_usage VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?)
       ON CONFLICT DO UPDATE SET requests = requests + 1, prompt_tokens = prompt_tokens + excluded.prompt_tokens,
         completion_tokens = completion_tokens + excluded.completion_tokens`,
    ),
    expire: database.prepare(
      `UPDATE quota_leases SET state = 'expired', ended_at_ms = expires_at_ms, due_ms = expires_at_ms + ?
       WHERE ${due} AND state = 'held'`,
    ),
    drop: database.prepare(`DELETE FROM quota_leases WHERE ${due} AND state <> 'held'`),
  };
}

function keptLease(row: Row): KeptLease {
  return {
    operationId: String(row.operation_id),
    state: row.state as LeaseState,
    expiresAtMs: Number(row.expires_at_ms),
    endedAtMs: Number(row.ended_at_ms),
    takenAtMs: Number(row.taken_at_ms),
    promptTokens: Number(row.prompt_tokens),
    completionTokens: Number(row.completion_tokens),
    row,
  };
}

function chargeOf({ counter, rule }: Counted): Charge {
  return [counter, rule.kind === 'window' ? rule.stepMs : 0];
}
