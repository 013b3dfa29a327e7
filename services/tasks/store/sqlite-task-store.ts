import { createGroupCommit } from '../../shared/store/group-commit.ts';
import type { SqliteStore } from '../../shared/store/sqlite.ts';
import { migrateSqlite } from '../../shared/store/sqlite-migrations.ts';
import { CANCELLED, WORKER_LOST } from '../failures.ts';
import type { Outcome, Task } from '../task.ts';
import { createTaskListeners } from '../task-listeners.ts';
import { createSqliteQueue } from './sqlite-queue.ts';
import { TASKS_MIGRATIONS } from './sqlite-schema.ts';
import { hasEnded, isWaiting, type TaskRow, taskOf } from './sqlite-task-rows.ts';
import { createSqliteTaskTable } from './sqlite-task-table.ts';
import type { Claim, ClaimedTask, PutBack, Submitted, TaskEvent, TaskStore, TaskStoreOptions } from './task-store.ts';

/** Rows that one step looks at besides those that are asked for: some milliseconds in which nothing else runs. */
const STEP_ROWS = 100;

/**
 * Tasks in the embedded store.
 *
 * @throws ConfigError when the file was written by a newer version.
 */
export function createSqliteTaskStore(store: SqliteStore, options: TaskStoreOptions): TaskStore {
  const { now = Date.now, resultTtlMs, maxAttempts, ageingMs } = options;
  migrateSqlite(store, 'tasks', TASKS_MIGRATIONS);
  const table = createSqliteTaskTable(store);
  const queue = createSqliteQueue(store, ageingMs);
  const listeners = createTaskListeners();
  /** Tasks that the transaction changed, and whether they wait now. */
  let changed = new Map<string, boolean>();
  const forgetChanges = (): void => {
    changed = new Map();
  };
  const inTransaction = createGroupCommit(store, {
    begun: forgetChanges,
    // The commit follows at once; who is told looks after it.
    flush: () => queueMicrotask(tell.bind(undefined, changed)),
    undone: forgetChanges,
  });

  function tell(news: ReadonlyMap<string, boolean>): void {
    for (const [taskId, isQueued] of news) listeners.tell({ taskId, isQueued });
  }

  function read(row: TaskRow): Task {
    const result = row.state === 'completed' ? table.result(row.seq) : '';
    return taskOf(row, isWaiting(row) ? queue.position(row) : 0, result);
  }

  function readSeq(seq: number): Task {
    const row = table.row(seq);
    if (!row) throw new Error(`no task ${seq}`);
    return read(row);
  }

  function known(owner: string, key: string, fingerprint: string): Submitted | undefined {
    const found = key === '' ? undefined : table.findKey(owner, key);
    if (!found) return undefined;
    return found.fingerprint === fingerprint ? { kind: 'known', task: readSeq(found.seq) } : { kind: 'conflict' };
  }

  /** The row of a claim that still holds. */
  function held({ taskId, attempt }: Claim): TaskRow | undefined {
    const row = table.find(taskId);
    return row?.state === 'processing' && row.attempt === attempt ? row : undefined;
  }

  function end(row: TaskRow, outcome: Outcome, attempt: number): void {
    const nowMs = now();
    if (row.state === 'queued') queue.left(row);
    table.end(row.seq, outcome, { attempt, nowMs, expiresAtMs: nowMs + resultTtlMs });
    table.addEvent(row.seq, 'ended', '');
    changed.set(row.task_id, false);
  }

  /** `by` is the attempt that asks for it; 0: nobody who could repeat it. */
  function returnToQueue(row: TaskRow, { delayMs, consumed, failure }: PutBack, by: number): void {
    if (consumed && row.consumed_attempts + 1 >= maxAttempts) {
      end(row, { state: 'failed', failure }, by);
      return;
    }
    table.wait(row.seq, consumed, delayMs > 0 ? now() + delayMs : null);
    if (delayMs <= 0) queue.joined(row);
    table.addEvent(row.seq, 'queued', '');
    changed.set(row.task_id, true);
  }

  function giveOut(leaseMs: number): ClaimedTask | undefined {
    const nowMs = now();
    const seq = queue.next(nowMs);
    const row = seq === undefined ? undefined : table.row(seq);
    if (!row) return undefined;
    const work = table.work(row.seq);
    queue.left(row);
    queue.served(row);
    table.begin(row.seq, nowMs, nowMs + leaseMs);
    const attempt = row.attempt + 1;
    table.addEvent(row.seq, 'processing', attempt);
    changed.set(row.task_id, false);
    return { taskId: row.task_id, attempt, work };
  }

  function promoteDue(): void {
    for (const row of table.dueDelays(now(), STEP_ROWS)) {
      table.promote(row.seq);
      queue.joined(row);
    }
  }

  return {
    submit: (submission) =>
      inTransaction(() => {
        const { owner, organization, priority, cost, idempotencyKey, fingerprint, taskId } = submission;
        const before = known(owner, idempotencyKey, fingerprint);
        if (before) return before;
        const again = table.find(taskId);
        if (again) return { kind: 'known', task: read(again) };
        const tag = queue.enter(organization, priority, cost);
        const seq = table.insert(submission, tag, now());
        queue.joined({ seq, priority, tag });
        table.addEvent(seq, 'queued', '');
        changed.set(taskId, true);
        return { kind: 'accepted', task: readSeq(seq) };
      }),
    findByKey: (owner, key, fingerprint) => inTransaction(() => known(owner, key, fingerprint)),
    find: (taskId) =>
      inTransaction(() => {
        const row = table.find(taskId);
        return row && read(row);
      }),
    list: (owner, limit, after) =>
      inTransaction(() => {
        const rows = table.ofOwner(owner, after === undefined ? Number.MAX_SAFE_INTEGER : Number(after), limit + 1);
        const page = rows.slice(0, limit);
        return { tasks: page.map(read), next: rows.length > limit ? String(page.at(-1)?.seq) : undefined };
      }),
    claim: (most, leaseMs) =>
      inTransaction(() => {
        promoteDue();
        const claimed: ClaimedTask[] = [];
        while (claimed.length < most) {
          const task = giveOut(leaseMs);
          if (!task) break;
          claimed.push(task);
        }
        return claimed;
      }),
    renew: (claims, leaseMs) =>
      inTransaction(() => {
        const lost: Claim[] = [];
        for (const claim of claims) {
          const row = held(claim);
          if (row) table.renew(row.seq, now() + leaseMs);
          else lost.push(claim);
        }
        return lost;
      }),
    append: (claim, sequence, text) =>
      inTransaction(() => {
        const row = held(claim);
        if (!row) return false;
        if (sequence > row.deltas) throw new Error(`delta ${sequence} of ${claim.taskId} after ${row.deltas}`);
        if (sequence < row.deltas) return true;
        table.addDelta(row.seq, text);
        changed.set(row.task_id, false);
        return true;
      }),
    finish: (claim, outcome) =>
      inTransaction(() => {
        const row = held(claim);
        if (row) end(row, outcome, claim.attempt);
        return row !== undefined || table.find(claim.taskId)?.ended_attempt === claim.attempt;
      }),
    putBack: (claim, reason) =>
      inTransaction(() => {
        const row = held(claim);
        if (row) returnToQueue(row, reason, claim.attempt);
        const after = row ? undefined : table.find(claim.taskId);
        return (
          row !== undefined || (after?.attempt === claim.attempt && (isWaiting(after) || hasEndedBy(after, claim)))
        );
      }),
    cancel: (taskId, owner) =>
      inTransaction(() => {
        const row = table.find(taskId);
        if (!row || row.owner !== owner) return { kind: 'unknown' };
        if (hasEnded(row)) return { kind: 'ended', task: read(row) };
        end(row, { state: 'failed', failure: CANCELLED }, 0);
        return { kind: 'cancelled', task: readSeq(row.seq) };
      }),
    events: (taskId, after, limit, maxBytes) =>
      inTransaction(() => {
        const row = table.find(taskId);
        return row && page(table.events(row.seq, after), limit, maxBytes);
      }),
    sweep: () =>
      inTransaction(() => {
        promoteDue();
        const lost = table.lostLeases(now(), STEP_ROWS);
        for (const row of lost) returnToQueue(row, { delayMs: 0, consumed: true, failure: WORKER_LOST }, 0);
        return Math.max(lost.length, table.forgetExpired(now(), STEP_ROWS)) === STEP_ROWS;
      }),
    watch: (listener) => listeners.add(listener),
    close: () => listeners.clear(),
  };
}

function hasEndedBy(row: TaskRow, { attempt }: Claim): boolean {
  return hasEnded(row) && row.ended_attempt === attempt;
}

/** The first of some events, as far as the bounds let them; one at least. */
function page(events: Iterable<TaskEvent>, limit: number, maxBytes: number): TaskEvent[] {
  const found: TaskEvent[] = [];
  let bytes = 0;
  for (const event of events) {
    found.push(event);
    bytes += event.kind === 'delta' ? event.text.length : 0;
    if (found.length >= limit || bytes >= maxBytes) break;
  }
  return found;
}
