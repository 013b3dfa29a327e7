import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { openSqlite } from '../../shared/store/sqlite.ts';
import { migrateSqlite } from '../../shared/store/sqlite-migrations.ts';
import { createSqliteLedger } from './sqlite-ledger.ts';
import { QUOTA_MIGRATIONS } from './sqlite-schema.ts';

const directory = mkdtempSync(join(tmpdir(), 'mesh-ledger-'));
afterAll(() => rmSync(directory, { recursive: true }));

const step = fc.record({
  keys: fc.array(fc.nat({ max: 6 }), { maxLength: 9 }),
  moved: fc.nat({ max: 4 }),
  isReopened: fc.boolean(),
});

test('table and queue together are the ledger at every moment, also when a process ends while rows are moved', () => {
  let files = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 15 }), (steps) => {
      files += 1;
      const store = openSqlite(join(directory, `${files}.db`));
      const { database } = store;
      migrateSqlite(store, 'quota', QUOTA_MIGRATIONS);
      let ledger = createSqliteLedger(store);
      const expected = new Array<number>(7).fill(0);
      const sums = (from: string): number[] =>
        expected.map((_, key) =>
          Number(database.prepare(`SELECT sum(c) AS n FROM (${from}) WHERE k = 'k${key}'`).get()?.n),
        );
      const inTable = 'SELECT key_id AS k, completion_tokens AS c FROM quota_ledger';
      const inQueue = `SELECT value ->> 2 AS k, value ->> 8 AS c
        FROM quota_ledger_queue, json_each(quota_ledger_queue.entries)`;
      for (const { keys, moved, isReopened } of steps) {
        for (const key of keys) {
          const who = { organizationId: 'o', keyId: `k${key}`, userId: '', model: 'm', engine: 'e' };
          ledger.add({ day: 1, ...who, requests: 1, promptTokens: 0, completionTokens: key + 1 });
          expected[key] = (expected[key] ?? 0) + key + 1;
        }
        ledger.flush();
        if (moved > 0) ledger.settle(moved);
        if (isReopened) ledger = createSqliteLedger(store);
        expect(sums(`${inTable} UNION ALL ${inQueue}`)).toEqual(expected);
      }
      for (let times = 0; times < 2; times += 1) while (!ledger.settle(2));
      expect(sums(inTable)).toEqual(expected);
      expect(database.prepare('SELECT count(*) AS n FROM quota_ledger_queue').get()).toEqual({ n: 0 });
      database.close();
    }),
    { numRuns: 60 },
  );
});
