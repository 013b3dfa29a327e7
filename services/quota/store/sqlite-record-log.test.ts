import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { openSqlite } from '../../shared/store/sqlite.ts';
import { migrateSqlite } from '../../shared/store/sqlite-migrations.ts';
import { hashOf } from './record-block.ts';
import { SqliteRecordLog } from './sqlite-record-log.ts';
import { QUOTA_MIGRATIONS } from './sqlite-schema.ts';

const TABLE = 'quota_counter_blocks';
const directory = mkdtempSync(join(tmpdir(), 'mesh-record-log-'));
afterAll(() => rmSync(directory, { recursive: true }));

let files = 0;

/** A file and a log in it. */
function open() {
  files += 1;
  const path = join(directory, `${files}.db`);
  const store = openSqlite(path);
  migrateSqlite(store, 'quota', QUOTA_MIGRATIONS);
  return { path, store, log: new SqliteRecordLog(store, TABLE) };
}

/** Names, some of which have the same hash as another. */
function namesThatCollide(): string[] {
  const byHash = new Map<number, string>();
  const found = ['', 'ü/ß', 'x'.repeat(5_000)];
  for (let i = 0; found.length < 9; i += 1) {
    const name = `n${i}`;
    const other = byHash.get(hashOf(name));
    if (other) found.push(other, name);
    byHash.set(hashOf(name), name);
  }
  return found;
}

const hex = (bytes: Buffer, begin: number, end: number): string => bytes.toString('hex', begin, end);

const names = namesThatCollide();
const name = fc.constantFrom(...names);
const action = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), name, bytes: fc.uint8Array({ maxLength: 900 }) }),
  fc.record({ kind: fc.constant('drop' as const), name }),
  fc.record({ kind: fc.constant('move' as const) }),
  fc.record({ kind: fc.constant('reopen' as const) }),
);
const transactions = fc.array(fc.record({ actions: fc.array(action, { maxLength: 12 }), isUndone: fc.boolean() }), {
  maxLength: 12,
});

test('finds the last version of every record, whatever was undone, moved, dropped, read anew or has the same hash', () => {
  fc.assert(
    fc.property(transactions, (all) => {
      const file = open();
      const other = openSqlite(file.path);
      const reader = new SqliteRecordLog(other, TABLE);
      let { log } = file;
      let known = new Map<string, Uint8Array>();
      const look = (at: SqliteRecordLog): void => {
        for (const one of names) {
          expect(at.get(one, hex)).toEqual(
            known.has(one) ? Buffer.from(known.get(one) ?? []).toString('hex') : undefined,
          );
        }
      };
      for (const { actions, isUndone } of all) {
        const before = new Map(known);
        file.store.database.exec('BEGIN IMMEDIATE');
        log.begin();
        log.catchUp();
        for (const one of actions) {
          if (one.kind === 'put') {
            log.put(one.name, one.bytes, known.has(one.name));
            known.set(one.name, one.bytes);
          } else if (one.kind === 'drop') {
            // As a counter that says nothing is put before it is dropped: read anew, it may be there again.
            log.flush();
            log.put(one.name, new Uint8Array(), known.has(one.name));
            log.flush();
            log.walk(0, 1_000, (at) => (at === one.name ? 'drop' : 'stay'));
            known.delete(one.name);
            if (log.get(one.name, hex) !== undefined) throw new Error('it was dropped');
            log.put(one.name, new Uint8Array(), false);
            known.set(one.name, new Uint8Array());
          } else if (one.kind === 'move') {
            log.flush();
            log.walk(0, 1_000, () => 'move');
          }
        }
        log.flush();
        file.store.database.exec(isUndone ? 'ROLLBACK' : 'COMMIT');
        if (isUndone) {
          log.undo();
          known = before;
        }
        look(log);
        if (actions.some(({ kind }) => kind === 'reopen')) {
          log = new SqliteRecordLog(file.store, TABLE);
          log.catchUp();
          look(log);
        }
        reader.catchUp();
        look(reader);
      }
      for (const store of [file.store, other]) store.database.close();
    }),
    { numRuns: 60 },
  );
});

test('what another connection emptied and began anew is found', () => {
  const file = open();
  const other = openSqlite(file.path);
  const reader = new SqliteRecordLog(other, TABLE);
  file.log.put('a', new Uint8Array(1), false);
  file.log.flush();
  reader.catchUp();
  file.log.walk(0, 9, () => 'drop');
  const again = new SqliteRecordLog(file.store, TABLE);
  again.catchUp();
  again.put('b', new Uint8Array(2), false);
  again.flush();
  reader.catchUp();
  expect(reader.get('b', hex)).toBe('0000');
  for (const store of [file.store, other]) store.database.close();
});

test('a file in which records change for ever does not grow', () => {
  const { store, log } = open();
  const blocks = (): number => Number(store.database.prepare(`SELECT count(*) AS n FROM ${TABLE}`).get()?.n);
  for (let i = 0; i < 20_000; i += 1) {
    log.put(`r${i % 100}`, new Uint8Array(100), i >= 100);
    if (log.written > 3 * log.size) log.walk(0, 4, () => 'move');
  }
  log.flush();
  expect(log.size).toBe(100);
  expect(blocks()).toBeLessThan(20);
  store.database.close();
});
