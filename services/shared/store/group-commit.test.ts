import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { recordSpans } from '../observability/tracer.fixture.ts';
import { tracer } from '../observability/tracer.ts';
import { createGroupCommit, type GroupCommit } from './group-commit.ts';
import { openSqlite, type SqliteStore } from './sqlite.ts';

const directory = mkdtempSync(join(tmpdir(), 'mesh-group-commit-'));
afterAll(() => rmSync(directory, { recursive: true }));

let files = 0;
let store: SqliteStore;
let inTransaction: GroupCommit;
let events: string[];

/** What a table of numbers held when the group began and ended, and what was undone. */
beforeEach(() => {
  files += 1;
  store = openSqlite(join(directory, `${files}.db`));
  store.database.exec('CREATE TABLE a (x INTEGER UNIQUE)');
  events = [];
  inTransaction = createGroupCommit(store, {
    begun: () => void events.push('begun'),
    flush: () => void events.push('flush'),
    undone: () => void events.push('undone'),
  });
  return () => store.database.close();
});

const insert = (x: number) => inTransaction(() => store.database.prepare('INSERT INTO a VALUES (?)').run(x).changes);
const rows = () =>
  store.database
    .prepare('SELECT x FROM a ORDER BY x')
    .all()
    .map(({ x }) => x);

test('what arrives in one turn of the event loop is one transaction, in order', async () => {
  const answers = await Promise.all([insert(1), inTransaction(rows), insert(2), inTransaction(rows)]);
  expect(answers).toEqual([1, [1], 1, [1, 2]]);
  expect(events).toEqual(['begun', 'flush']);
  await insert(3);
  expect(events).toEqual(['begun', 'flush', 'begun', 'flush']);
});

test('nothing is acknowledged before it is committed', async () => {
  const other = openSqlite(join(directory, `${files}.db`));
  const seen = await insert(7).then(() => other.database.prepare('SELECT x FROM a').all());
  expect(seen).toEqual([{ x: 7 }]);
  other.database.close();
});

test('an operation that throws harms only itself', async () => {
  const answers = await Promise.allSettled([
    insert(1),
    insert(1),
    inTransaction(() => {
      store.database.prepare('INSERT INTO a VALUES (9)').run();
      throw new Error('mine');
    }),
    insert(2),
  ]);
  expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
  expect(answers[2]).toMatchObject({ reason: { message: 'mine' } });
  expect(rows()).toEqual([1, 2]);
  expect(events.slice(0, 2)).toEqual(['begun', 'undone']);
});

test('a transaction that cannot be written rejects all of its operations, and the next one works', async () => {
  const [page] = store.database.prepare('PRAGMA page_count').all();
  store.database.exec(`PRAGMA max_page_count = ${Number(page?.page_count)}`);
  const big = (): unknown => store.database.exec(`CREATE TABLE b (y); INSERT INTO b VALUES (zeroblob(100000))`);
  const answers = await Promise.allSettled([insert(1), inTransaction(big), insert(2)]);
  for (const answer of answers)
    expect(answer).toMatchObject({ status: 'rejected', reason: { reason: 'STORE_UNAVAILABLE' } });
  expect(rows()).toEqual([]);
  store.database.exec('PRAGMA max_page_count = 1000000');
  expect(await Promise.all([insert(1), insert(2)])).toEqual([1, 1]);
});

test('what fails only at the commit was never acknowledged', async () => {
  store.database.exec('CREATE TABLE b (x REFERENCES a (x) DEFERRABLE INITIALLY DEFERRED)');
  const dangling = () => inTransaction(() => store.database.prepare('INSERT INTO b VALUES (77)').run());
  const answers = await Promise.allSettled([insert(1), dangling(), insert(2)]);
  expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(rows()).toEqual([1, 2]);
});

test('a file that is closed rejects with the same', async () => {
  const closed = insert(1);
  store.database.close();
  await expect(closed).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE' });
  store = openSqlite(join(directory, `${files}.db`));
});

test('many are committed in groups, and too many are refused', async () => {
  const answers = await Promise.allSettled(Array.from({ length: 20_100 }, (_, i) => insert(i)));
  const refused = answers.filter(({ status }) => status === 'rejected');
  expect(refused).toHaveLength(100);
  for (const answer of refused) expect(answer).toMatchObject({ reason: { reason: 'STORE_UNAVAILABLE' } });
  expect(rows()).toHaveLength(20_000);
  expect(events.filter((event) => event === 'begun')).toHaveLength(Math.ceil(20_000 / 256));
});

test('each operation is a part of what asked for it, whoever it shares the transaction with', async () => {
  const { spans, restore } = recordSpans();
  const ask = (name: string, x: number) =>
    tracer()
      .begin(name, { kind: 'server', parent: undefined })
      .within(() => insert(x));
  await Promise.all([ask('one', 1), ask('other', 2)]);
  await insert(3);
  restore();
  const parts = spans.filter(({ kind }) => kind === 'client');
  expect(parts.map(({ name, parent, hasEnded }) => [name, parent, hasEnded])).toEqual([
    ['sqlite commit', 'one', true],
    ['sqlite commit', 'other', true],
  ]);
});
