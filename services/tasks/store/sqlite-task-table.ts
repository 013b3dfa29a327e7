import type { SqliteStore } from '../../shared/store/sqlite.ts';
import type { Outcome } from '../task.ts';
import { eventOf, ROW_COLUMNS, type TaskRow } from './sqlite-task-rows.ts';
import type { Submission, TaskEvent } from './task-store.ts';

/** The statements on tasks and their events; every method is part of the caller's transaction. */
export interface SqliteTaskTable {
  /** Returns the number of the row. */
  insert(submission: Submission, tag: number, nowMs: number): number;
  find(taskId: string): TaskRow | undefined;
  row(seq: number): TaskRow | undefined;
  /** What a worker needs to run it. */
  work(seq: number): Uint8Array;
  /** The text of a completed one, else ''. */
  result(seq: number): string;
  findKey(owner: string, idempotencyKey: string): { readonly fingerprint: string; readonly seq: number } | undefined;
  /** The newest first, before a row. */
  ofOwner(owner: string, before: number, limit: number): TaskRow[];
  begin(seq: number, nowMs: number, leaseEndsMs: number): void;
  renew(seq: number, leaseEndsMs: number): void;
  wait(seq: number, consumed: boolean, notBeforeMs: number | null): void;
  promote(seq: number): void;
  end(seq: number, outcome: Outcome, by: { attempt: number; nowMs: number; expiresAtMs: number }): void;
  addEvent(seq: number, kind: TaskEvent['kind'], value: string | number): void;
  addDelta(seq: number, text: string): void;
  events(seq: number, after: number): IterableIterator<TaskEvent>;
  dueDelays(nowMs: number, limit: number): TaskRow[];
  lostLeases(nowMs: number, limit: number): TaskRow[];
  forgetExpired(nowMs: number, limit: number): number;
}

/** Prepares the statements. */
export function createSqliteTaskTable({ database }: SqliteStore): SqliteTaskTable {
  const insert = database.prepare(`INSERT INTO tasks_tasks
    (task_id, owner, end_user, state, organization, priority, tag, work, submitted_at_ms)
    VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?)`);
  const insertKey = database.prepare('INSERT INTO tasks_keys VALUES (?, ?, ?, ?)');
  const find = database.prepare(`SELECT ${ROW_COLUMNS} FROM tasks_tasks WHERE task_id = ?`);
  const bySeq = database.prepare(`SELECT ${ROW_COLUMNS} FROM tasks_tasks WHERE seq = ?`);
  const work = database.prepare('SELECT work FROM tasks_tasks WHERE seq = ?');
  const result = database.prepare('SELECT result FROM tasks_tasks WHERE seq = ?');
  const findKey = database.prepare('SELECT fingerprint, seq FROM tasks_keys WHERE owner = ? AND idempotency_key = ?');
  const ofOwner = database.prepare(
    `SELECT ${ROW_COLUMNS} FROM tasks_tasks WHERE owner = ? AND seq < ? ORDER BY seq DESC LIMIT ?`,
  );
  const begin = database.prepare(`UPDATE tasks_tasks SET state = 'processing', attempt = attempt + 1, deltas = 0,
    started_at_ms = ?2, lease_ends_ms = ?3 WHERE seq = ?1`);
  const renew = database.prepare('UPDATE tasks_tasks SET lease_ends_ms = ?2 WHERE seq = ?1');
  const wait =
    database.prepare(`UPDATE tasks_tasks SET state = iif(?3 IS NULL, 'queued', 'delayed'), not_before_ms = ?3,
    lease_ends_ms = NULL, consumed_attempts = consumed_attempts + ?2 WHERE seq = ?1`);
  const promote = database.prepare(`UPDATE tasks_tasks SET state = 'queued', not_before_ms = NULL WHERE seq = ?`);
  const end = database.prepare(`UPDATE tasks_tasks SET state = ?2, ended_attempt = ?3, ended_at_ms = ?4,
    expires_at_ms = ?5, result = ?6, failure_type = ?7, failure_message = ?8, prompt_tokens = ?9, completion_tokens = ?10,
    lease_ends_ms = NULL, not_before_ms = NULL, work = x'' WHERE seq = ?1`);
  const nextEvent = database.prepare(
    'UPDATE tasks_tasks SET last_event = last_event + 1 WHERE seq = ? RETURNING last_event',
  );
  const nextDelta = database.prepare(
    'UPDATE tasks_tasks SET last_event = last_event + 1, deltas = deltas + 1 WHERE seq = ? RETURNING last_event',
  );
  const addEvent = database.prepare('INSERT INTO tasks_events VALUES (?, ?, ?, ?)');
  const events = database.prepare(
    'SELECT event_id, kind, value FROM tasks_events WHERE seq = ? AND event_id > ? ORDER BY event_id',
  );
  const dueDelays = database.prepare(`SELECT ${ROW_COLUMNS} FROM tasks_tasks
    WHERE state = 'delayed' AND not_before_ms <= ? ORDER BY not_before_ms LIMIT ?`);
  const lostLeases = database.prepare(`SELECT ${ROW_COLUMNS} FROM tasks_tasks
    WHERE state = 'processing' AND lease_ends_ms <= ? ORDER BY lease_ends_ms LIMIT ?`);
  const expired = database.prepare(`SELECT seq FROM tasks_tasks
    WHERE expires_at_ms IS NOT NULL AND expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?`);
  const forget = ['tasks_events', 'tasks_keys', 'tasks_tasks'].map((name) =>
    database.prepare(`DELETE FROM ${name} WHERE seq = ?`),
  );
  const rowOf = (row: unknown): TaskRow | undefined => row as TaskRow | undefined;

  return {
    insert(submission, tag, nowMs) {
      const { taskId, owner, endUser, organization, priority, work, idempotencyKey, fingerprint } = submission;
      const { lastInsertRowid } = insert.run(taskId, owner, endUser, organization, priority, tag, work, nowMs);
      const seq = Number(lastInsertRowid);
      if (idempotencyKey !== '') insertKey.run(owner, idempotencyKey, fingerprint, seq);
      return seq;
    },
    find: (taskId) => rowOf(find.get(taskId)),
    row: (seq) => rowOf(bySeq.get(seq)),
    work: (seq) => (work.get(seq)?.work as Uint8Array | undefined) ?? new Uint8Array(),
    result: (seq) => String(result.get(seq)?.result ?? ''),
    findKey: (owner, key) => findKey.get(owner, key) as ReturnType<SqliteTaskTable['findKey']>,
    ofOwner: (owner, before, limit) => ofOwner.all(owner, before, limit) as unknown as TaskRow[],
    begin: (seq, nowMs, leaseEndsMs) => void begin.run(seq, nowMs, leaseEndsMs),
    renew: (seq, leaseEndsMs) => void renew.run(seq, leaseEndsMs),
    wait: (seq, consumed, notBeforeMs) => void wait.run(seq, consumed ? 1 : 0, notBeforeMs),
    promote: (seq) => void promote.run(seq),
    end(seq, outcome, { attempt, nowMs, expiresAtMs }) {
      const { state, usage } = outcome;
      const text = state === 'completed' ? outcome.result : null;
      const failure = state === 'failed' ? outcome.failure : undefined;
      const tokens = [usage?.promptTokens ?? null, usage?.completionTokens ?? null];
      const told = [text, failure?.type ?? null, failure?.message ?? null];
      end.run(seq, state, attempt, nowMs, expiresAtMs, ...told, ...tokens);
    },
    addEvent: (seq, kind, value) => void addEvent.run(seq, Number(nextEvent.get(seq)?.last_event), kind, value),
    addDelta: (seq, text) => void addEvent.run(seq, Number(nextDelta.get(seq)?.last_event), 'delta', text),
    *events(seq, after) {
      for (const row of events.iterate(seq, after)) yield eventOf(row);
    },
    dueDelays: (nowMs, limit) => dueDelays.all(nowMs, limit) as unknown as TaskRow[],
    lostLeases: (nowMs, limit) => lostLeases.all(nowMs, limit) as unknown as TaskRow[],
    forgetExpired(nowMs, limit) {
      const rows = expired.all(nowMs, limit);
      for (const { seq } of rows) for (const statement of forget) statement.run(seq ?? null);
      return rows.length;
    },
  };
}
