import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { eventually, startProgram } from '../../../test/harness/processes.ts';
import { atOnce, limitsOf, minute, report, used } from '../../../test/harness/quota-stores.ts';
import { openSqlite } from '../../shared/store/sqlite.ts';
import { migrateSqlite } from '../../shared/store/sqlite-migrations.ts';
import { createSqliteQuotaStore } from './sqlite-quota-store.ts';
import { QUOTA_MIGRATIONS } from './sqlite-schema.ts';

const directory = mkdtempSync(join(tmpdir(), 'mesh-quota-file-'));
afterAll(() => rmSync(directory, { recursive: true }));

const beside = (name: string): string => JSON.stringify(join(import.meta.dirname, name));
const NOTHING = { isCounted: false, promptBound: 0, maxCompletionTokens: 0, coveredTokens: 0 };

describe('the file of quota', () => {
  test('keeps what a process that was killed had acknowledged, and what it held until it expires', async () => {
    const path = join(directory, 'killed.db');
    const limits = limitsOf(['requests', minute(4_000_000)], ['tokens', minute(4_000_000)]);
    // Each line is one more lease that was settled with 3 tokens; one lease stays held, 50 run at once.
    const program = `
      import { writeSync } from 'node:fs';
      import { openSqlite } from ${beside('../../shared/store/sqlite.ts')};
      import { createSqliteQuotaStore } from ${beside('sqlite-quota-store.ts')};
      const quota = createSqliteQuotaStore(openSqlite(${JSON.stringify(path)}), Date.now);
      const limits = ${JSON.stringify(limits)};
      const reserve = (id) => quota.reserve({ reservationId: id, operationId: id, model: 'm', limits, limitsVersion: 0,
        holdMs: 60000, holder: { keyId: 'k', userId: 'u', organizationId: 'o' }, isCounted: true, promptBound: 5,
        maxCompletionTokens: 5, coveredTokens: 5 });
      await reserve('held');
      let settled = 0;
      const work = async (name) => {
        for (let i = 0; ; i += 1) {
          await reserve(name + i);
          await quota.settle(name + i, { promptTokens: 1, completionTokens: 2, engine: 'e' });
          // Written at once: it ends with its reader.
          writeSync(1, (settled += 1) + '\\n');
        }
      };
      await Promise.all(Array.from({ length: 50 }, (_, i) => work('w' + i + ':')));`;
    const writer = startProgram(process.execPath, ['--input-type=module', '-e', program], {});
    await eventually('it settles', () => writer.output().split('\n').length > 2_000);
    expect(await writer.stop('SIGKILL')).toBe('SIGKILL');
    const acknowledged = Number(writer.output().split('\n').at(-2));

    let nowMs = Date.now();
    const store = openSqlite(path);
    const quota = createSqliteQuotaStore(store, () => nowMs);
    const [row] = await Array.fromAsync(quota.usage(0, 100_000, undefined));
    // At most one transaction was committed and not yet told.
    expect(row?.requests).toBeGreaterThanOrEqual(acknowledged);
    expect(row?.requests).toBeLessThanOrEqual(acknowledged + 50);
    expect(row).toMatchObject({ promptTokens: row?.requests, completionTokens: 2 * (row?.requests ?? 0) });
    const { leases } = await quota.heldLeases(1_000, undefined);
    expect(leases.map(({ reservationId }) => reservationId)).toContain('held');
    const [requests, tokens] = await quota.inspect(limits, NOTHING);
    expect(requests?.remaining).toBe(4_000_000 - leases.length - (row?.requests ?? 0));
    expect(tokens).toMatchObject({ held: 10 * leases.length });
    nowMs += 60_001;
    await quota.sweep();
    expect(await quota.inspect(limits, NOTHING)).toMatchObject([{ held: 0 }, { held: 0 }]);
    expect((await quota.heldLeases(9, undefined)).leases).toEqual([]);
    store.database.close();
  });

  test('that is full takes nothing and admits nobody; once there is room it goes on where it was', async () => {
    const store = openSqlite(join(directory, 'full.db'));
    const quota = createSqliteQuotaStore(store, Date.now);
    const limits = limitsOf(['requests', minute(100)], ['tokens', minute(3_000)]);
    const reservation = (id: string) => ({
      ...{ reservationId: id, operationId: id, model: 'm', limits, limitsVersion: 0, holdMs: 60_000 },
      ...{ holder: { keyId: 'k'.repeat(3_000), userId: 'u', organizationId: 'o' }, isCounted: true },
      ...{ promptBound: 5, maxCompletionTokens: 5, coveredTokens: 5 },
    });
    await quota.reserve(reservation('before'));
    const [pages] = store.database.prepare('PRAGMA page_count').all();
    store.database.exec(`PRAGMA max_page_count = ${Number(pages?.page_count)}`);
    const answers = await Promise.allSettled(['a', 'b', 'c'].map((id) => quota.reserve(reservation(id))));
    for (const answer of answers) expect(answer).toMatchObject({ reason: { reason: 'STORE_UNAVAILABLE' } });
    expect(await quota.inspect(limits, NOTHING)).toMatchObject([{ remaining: 99 }, { held: 10 }]);
    expect(await quota.settle('a', used(1, 1))).toEqual({ kind: 'unknown' });
    store.database.exec('PRAGMA max_page_count = 1000000');
    expect(await quota.reserve(reservation('a'))).toMatchObject({
      kind: 'admitted',
      statuses: [{ remaining: 98 }, {}],
    });
    store.database.close();
  });

  test('is the same whether its tables were written or its journal is read again', async () => {
    const path = join(directory, 'journal.db');
    let nowMs = Date.now();
    const store = openSqlite(path);
    const quota = createSqliteQuotaStore(store, () => nowMs);
    const limits = limitsOf(['requests', minute(100)], ['tokens', minute(3_000)], ['concurrent_requests', atOnce(9)]);
    const holder = { keyId: 'k', userId: 'u', organizationId: 'o' };
    const reserve = (id: string, on = quota) =>
      on.reserve({
        ...{ reservationId: id, operationId: id, model: 'm', limits, limitsVersion: 0, holdMs: 60_000, holder },
        ...{ isCounted: true, promptBound: 50, maxCompletionTokens: 90, coveredTokens: 20 },
      });
    const entries = (): number => store.database.prepare('SELECT entries FROM quota_journal').all().length;
    for (const id of ['settled', 'released', 'held', 'expired']) await reserve(id);
    nowMs += 1_500;
    await quota.extend('held', report(7, 60, 31), 90_000);
    await quota.settle('settled', used(9, 9));
    await quota.release('released');
    expect(entries()).toBe(7);
    const before = await quota.inspect(limits, NOTHING);
    // A process that opens the file reads the journal, and writes the tables.
    const another = openSqlite(path);
    const other = createSqliteQuotaStore(another, () => nowMs);
    expect(await other.inspect(limits, NOTHING)).toEqual(before);
    expect(entries()).toBe(0);
    expect(await quota.inspect(limits, NOTHING)).toEqual(before);
    // What only the journal has is found, repeated and ended like anything else.
    await reserve('journal');
    expect(await quota.settle('journal', used(1, 1))).toMatchObject({ kind: 'done' });
    expect(entries()).toBe(2);
    expect(await other.settle('journal', used(1, 1))).toMatchObject({ kind: 'done' });
    expect(await other.settle('journal', used(1, 2))).toEqual({ kind: 'ended', state: 'settled' });
    expect(await reserve('journal', other)).toEqual({ kind: 'ended', state: 'settled' });
    expect(await other.extend('held', report(7), 60_000)).toMatchObject({ kind: 'held', coveredTokens: 60 });
    // It never grows beyond some hundred entries.
    for (let i = 0; i < 600; i += 1) await other.extend('held', report(7), 60_000);
    expect(entries()).toBeLessThan(512);
    for (const on of [store, another]) on.database.close();
  });

  test('of an older version is migrated: the ledger stays, what ran is one request without tokens', async () => {
    const path = join(directory, 'older.db');
    const store = openSqlite(path);
    migrateSqlite(store, 'quota', QUOTA_MIGRATIONS.slice(0, 1));
    const nowMs = Date.now();
    const day = Math.floor(nowMs / 86_400_000);
    store.database.exec(`
      INSERT INTO quota_counters VALUES ('c', x'00', 0);
      INSERT INTO quota_usage VALUES (${day}, 'k', 'u', 'o', 'm', 'e', 3, 30, 15);
      INSERT INTO quota_leases VALUES
        ('a', 'a:r', 'held', 'k', 'u', 'o', 'm', '[["c",1000]]', ${nowMs}, ${nowMs + 5}, 0, 0, 0, '', ${nowMs + 5}),
        ('b', 'b:r', 'held', 'k', 'u', 'o', 'm', '[]', ${nowMs}, ${nowMs + 5}, 0, 0, 0, '', ${nowMs + 5}),
        ('s', 's:r', 'settled', 'k', 'u', 'o', 'm', '[]', ${nowMs}, ${nowMs + 5}, ${nowMs}, 10, 5, 'e', ${nowMs + 9});`);
    const quota = createSqliteQuotaStore(store, () => nowMs);
    const ledger = async () =>
      (await Array.fromAsync(quota.usage(0, 100_000, undefined))).map((row) => ({ ...row, day: row.day - day }));
    const who = { day: 0, keyId: 'k', userId: 'u', organizationId: 'o', model: 'm' };
    expect(await ledger()).toEqual([
      { ...who, engine: '', requests: 2, promptTokens: 0, completionTokens: 0 },
      { ...who, engine: 'e', requests: 3, promptTokens: 30, completionTokens: 15 },
    ]);
    expect((await quota.heldLeases(9, undefined)).leases).toEqual([]);
    expect(await quota.settle('s', used(10, 5))).toEqual({ kind: 'done', endedAtMs: nowMs });
    expect(await quota.release('a')).toEqual({ kind: 'ended', state: 'expired' });
    // Its owner may still come.
    expect(await quota.settle('b', used(4, 2, 'e'))).toMatchObject({ kind: 'done' });
    expect((await ledger())[1]).toMatchObject({ requests: 3, promptTokens: 34, completionTokens: 17 });
    store.database.close();
  });

  test('of version 2 is migrated: what was spent and held, ended leases and the journal count on', async () => {
    const path = join(directory, 'version-2.db');
    const store = openSqlite(path);
    const { database } = store;
    migrateSqlite(store, 'quota', QUOTA_MIGRATIONS.slice(0, 2));
    const nowMs = Date.now();
    const step = Math.floor(nowMs / 1_000);
    const [requests, tokens] = limitsOf(['requests', minute(100)], ['tokens', minute(3_000)]);
    if (!requests || !tokens) throw new Error('expected two limits');
    // A double for its kind, then what is held, the newest step, the number of steps; then 4 bytes for each of the latest.
    const window = (held: number, ...spent: number[]): Uint8Array =>
      Buffer.concat([
        Buffer.from(Float64Array.of(1, held, step, 61).buffer),
        Buffer.from(Uint32Array.from(spent).buffer),
      ]);
    const insert = database.prepare('INSERT INTO quota_counters VALUES (?, ?, ?)');
    insert.run(requests.counter, window(0, 1, 0, 4), nowMs + 70_000);
    insert.run(tokens.counter, window(30, 500), Number.MAX_SAFE_INTEGER);
    const lease = database.prepare(
      `INSERT INTO quota_leases VALUES (?, ?, ?, 'k', 'u', 'o', 'm', ?, 1, 10, ?, 0, 20, 20, ?, ?, ?, ?)`,
    );
    lease.run(
      'held',
      'held',
      'held',
      `[["${tokens.counter}","tokens","w",3000,1000,60]]`,
      null,
      nowMs,
      nowMs + 60_000,
      0,
      nowMs + 60_000,
    );
    lease.run('done', 'done', 'settled', '', 7, nowMs - 10, nowMs + 60_000, nowMs - 5, nowMs + 650_000);
    const reserved = {
      ...{ reservationId: 'late', operationId: 'late', model: 'm', limitsVersion: 0, holdMs: 60_000, isCounted: true },
      ...{ promptBound: 3, maxCompletionTokens: 4, coveredTokens: 4 },
      holder: { keyId: 'k', userId: 'u', organizationId: 'o' },
      limits: `[["${requests.counter}","requests","w",100,1000,60],["${tokens.counter}","tokens","w",3000,1000,60]]`,
    };
    database
      .prepare('INSERT INTO quota_journal (entries) VALUES (?)')
      .run(JSON.stringify([['reserved', nowMs, reserved]]));
    const quota = createSqliteQuotaStore(store, () => nowMs);
    const limits = [requests, tokens];
    expect(await quota.inspect(limits, NOTHING)).toMatchObject([
      { remaining: 100 - 6 },
      { remaining: 3_000 - 500 - 37, held: 37 },
    ]);
    expect(await quota.settle('held', used(1, 2))).toMatchObject({ kind: 'done' });
    expect(await quota.settle('late', used(1, 1))).toMatchObject({ kind: 'done' });
    expect(await quota.settle('done', used(7, 0))).toEqual({ kind: 'done', endedAtMs: nowMs - 5 });
    expect(await quota.inspect(limits, NOTHING)).toMatchObject([{ remaining: 94 }, { remaining: 2_495, held: 0 }]);
    // Opened once more it is as it was.
    const again = createSqliteQuotaStore(store, () => nowMs);
    expect(await again.inspect(limits, NOTHING)).toMatchObject([{ remaining: 94 }, { remaining: 2_495, held: 0 }]);
    database.close();
  });
});
