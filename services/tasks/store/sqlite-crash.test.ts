import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { eventually, startProgram } from '../../../test/harness/processes.ts';
import { openSqlite } from '../../shared/store/sqlite.ts';
import { createSqliteTaskStore } from './sqlite-task-store.ts';
import type { TaskEvent, TaskStore } from './task-store.ts';

/** How often the same file is written to and the writer killed. */
const ROUNDS = 5;

const directory = mkdtempSync(join(tmpdir(), 'mesh-tasks-crash-'));
afterAll(() => rmSync(directory, { recursive: true }));

const beside = (name: string): string => JSON.stringify(join(import.meta.dirname, name));
const path = join(directory, 'tasks.db');
const OPTIONS = { resultTtlMs: 3_600_000, maxAttempts: 1_000, ageingMs: 600_000 };
const LEASE_MS = 60_000;

/** Submits, runs, cancels and puts back tasks, 24 at a time, and tells each thing that the store has acknowledged in a line. */
const PROGRAM = `
  import { writeSync } from 'node:fs';
  import { openSqlite } from ${beside('../../shared/store/sqlite.ts')};
  import { createSqliteTaskStore } from ${beside('sqlite-task-store.ts')};
  const round = process.argv[1];
  const tasks = createSqliteTaskStore(openSqlite(${JSON.stringify(path)}), ${JSON.stringify(OPTIONS)});
  // Written at once: it ends with its reader.
  const tell = (...words) => writeSync(1, words.join(' ') + '\\n');
  const failure = { type: 'EngineLost', message: 'gone' };
  async function submit(name) {
    for (let i = 0; ; i += 1) {
      const taskId = 'r' + round + '-' + name + '-' + i;
      await tasks.submit({ taskId, owner: 'ann', organization: 'o' + (i % 5), priority: i % 3, cost: 1 + (i * 7919) % 90000,
        idempotencyKey: taskId, fingerprint: 'f', work: Buffer.from('work of ' + taskId), endUser: '' });
      tell('submitted', taskId);
      if (i % 11 === 10 && (await tasks.cancel(taskId, 'ann')).kind === 'cancelled') tell('cancelled', taskId);
    }
  }
  async function work(name) {
    for (let i = 0; ; i += 1) {
      for (const claim of await tasks.claim(2, ${LEASE_MS})) {
        const text = claim.taskId + '/' + claim.attempt + '/';
        for (let n = 0; n < 4; n += 1) await tasks.append(claim, n, text + n + ' ');
        if (i % 7 === 6) await tasks.putBack(claim, { delayMs: 0, consumed: i % 2 === 0, failure });
        else {
          const outcome = { state: 'completed', result: text, usage: { promptTokens: 1, completionTokens: 4 } };
          if (await tasks.finish(claim, outcome)) tell('finished', claim.taskId, text);
        }
      }
    }
  }
  await Promise.all(Array.from({ length: 12 }, (_, i) => [submit(i), work(i)]).flat());`;

/** Runs the program until it has told so many lines more and kills it; returns the whole lines that it told. */
async function killedAfter(round: number, lines: number): Promise<string[][]> {
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', PROGRAM, String(round)];
  const writer = startProgram(process.execPath, args, {});
  await eventually('it writes', () => {
    if (writer.child.exitCode !== null) throw new Error(writer.output());
    return writer.output().length > 30 * lines;
  });
  expect(await writer.stop('SIGKILL')).toBe('SIGKILL');
  const told = writer.output().split('\n').slice(0, -1);
  return told.map((line) => line.split(' '));
}

test('a file whose writer is killed loses nothing that was acknowledged, again and again', {
  timeout: 300_000,
}, async () => {
  const submitted = new Set<string>();
  const cancelled = new Set<string>();
  const finished = new Map<string, string>();
  for (let round = 0; round < ROUNDS; round += 1) {
    // Somewhere in the midst of it, each time elsewhere.
    for (const [what, taskId = '', text = ''] of await killedAfter(round, 20 + Math.random() * 400)) {
      if (what === 'submitted') submitted.add(taskId);
      else if (what === 'cancelled') cancelled.add(taskId);
      else finished.set(taskId, text);
    }
    const store = openSqlite(path);
    let nowMs = Date.now();
    const tasks = createSqliteTaskStore(store, { ...OPTIONS, now: () => nowMs });
    for (const taskId of submitted) await expectSound(tasks, taskId);
    for (const taskId of cancelled) {
      expect((await tasks.find(taskId))?.outcome).toMatchObject({ failure: { type: 'Cancelled' } });
    }
    for (const [taskId, result] of finished) {
      expect((await tasks.find(taskId))?.outcome, taskId).toMatchObject({ state: 'completed', result });
    }
    if (round < ROUNDS - 1) {
      store.database.close();
      continue;
    }
    // What the killed ones held runs again; everything that was accepted comes to an end.
    nowMs += LEASE_MS + 1;
    await everythingHasItsTurn(tasks);
    for (const taskId of submitted) {
      expect((await tasks.find(taskId))?.outcome, taskId).toBeDefined();
      await expectSound(tasks, taskId);
    }
    store.database.close();
  }
  expect(submitted.size).toBeGreaterThan(ROUNDS * 10);
  expect(finished.size).toBeGreaterThan(ROUNDS);
});

/** Sweeps and runs until nothing waits. */
async function everythingHasItsTurn(tasks: TaskStore): Promise<void> {
  for (let before = -1, held = 0; held !== before; ) {
    before = held;
    await tasks.sweep();
    for (;;) {
      const [claim] = await tasks.claim(1, LEASE_MS);
      if (!claim) break;
      held += 1;
      expect(Buffer.from(claim.work).toString()).toBe(`work of ${claim.taskId}`);
      const usage = { promptTokens: 1, completionTokens: 1 };
      expect(await tasks.finish(claim, { state: 'completed', result: 'at last', usage })).toBe(true);
    }
  }
}

/** It is there, its key names it, its events are dense, and the last one is the end where there is one, and no other is. */
async function expectSound(tasks: TaskStore, taskId: string): Promise<void> {
  const task = await tasks.find(taskId);
  expect(task, taskId).toBeDefined();
  expect(await tasks.findByKey('ann', taskId, 'f')).toMatchObject({ kind: 'known', task: { taskId } });
  const events = (await tasks.events(taskId, 0, 100_000, 1e9)) ?? [];
  expect(events.map(({ eventId }) => eventId)).toEqual(events.map((_, i) => i + 1));
  const ends = events.flatMap(({ kind }, i) => (kind === 'ended' ? [i] : []));
  expect(ends).toEqual(task?.outcome ? [events.length - 1] : []);
  expect(events.filter(({ kind }) => kind === 'processing')).toHaveLength(task?.attempt ?? -1);
  expectTexts(taskId, events);
}

/** Texts stand in the attempt that wrote them, in their order and once. */
function expectTexts(taskId: string, events: readonly TaskEvent[]): void {
  let [attempt, next] = [0, 0];
  for (const event of events) {
    if (event.kind === 'processing') [attempt, next] = [event.attempt, 0];
    if (event.kind !== 'delta') continue;
    expect(event.text).toBe(`${taskId}/${attempt}/${next} `);
    next += 1;
  }
}
