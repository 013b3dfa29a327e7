import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { closeSqlite, openSqlite, type SqliteStore } from '../../shared/store/sqlite.ts';
import { migrateSqlite } from '../../shared/store/sqlite-migrations.ts';
import { TASKS_MIGRATIONS } from './sqlite-schema.ts';
import { createSqliteStretches, type Place } from './sqlite-stretches.ts';

/** So few that some dozen places fill all levels. */
const MOST_PARTS = 3;

const directory = mkdtempSync(join(tmpdir(), 'mesh-stretches-'));
let store: SqliteStore;
beforeAll(() => {
  store = openSqlite(join(directory, 'tasks.db'));
  migrateSqlite(store, 'tasks', TASKS_MIGRATIONS);
});
afterAll(() => {
  closeSqlite(store);
  rmSync(directory, { recursive: true });
});

const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ tag: fc.integer({ min: 1, max: 12 }), priority: fc.integer({ min: 0, max: 1 }) }),
  },
  { weight: 2, arbitrary: fc.nat() },
);

test('whoever comes and goes, and however they crowd, positions are those of the order', () => {
  const shape = fc.array(step, { minLength: 50, maxLength: 200 });
  fc.assert(
    fc.property(shape, (steps) => store.transaction(() => play(steps))),
    { numRuns: 60, seed: 1 },
  );
});

/** A number: one of those who wait leaves. Expects every position after every tenth step. */
function play(steps: readonly (Omit<Place, 'seq'> | number)[]): void {
  store.database.exec('DELETE FROM tasks_tasks; DELETE FROM tasks_stretches');
  const insert = store.database.prepare(`INSERT INTO tasks_tasks
    (seq, task_id, owner, end_user, state, organization, priority, tag, work, submitted_at_ms)
    VALUES (?1, ?1, '', '', 'queued', '', ?2, ?3, x'', 0)`);
  const leave = store.database.prepare("UPDATE tasks_tasks SET state = 'processing' WHERE seq = ?");
  const stretches = createSqliteStretches(store, MOST_PARTS);
  let waiting: Place[] = [];
  for (const [number, step] of steps.entries()) {
    if (typeof step !== 'number') {
      const place = { ...step, seq: number + 1 };
      insert.run(place.seq, place.priority, place.tag);
      stretches.add(place);
      waiting.push(place);
    } else {
      const gone = waiting[step % waiting.length];
      if (!gone) continue;
      stretches.remove(gone);
      leave.run(gone.seq);
      waiting = waiting.filter((place) => place !== gone);
    }
    if (number % 10 !== 0 && number !== steps.length - 1) continue;
    waiting.sort((a, b) => b.priority - a.priority || a.tag - b.tag || a.seq - b.seq);
    const positions = waiting.map((place) => stretches.above(place.priority) + stretches.before(place));
    expect(positions).toEqual(waiting.map((_, i) => i));
  }
}
