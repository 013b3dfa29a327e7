import { describe, expect, test } from 'vitest';
import { atOnce, describeQuotaStores, limitsOf, minute, report, used } from '../../../test/harness/quota-stores.ts';
import { RETENTION_MS } from '../lease.ts';
import type { UsageEntry } from './quota-store.ts';

const DAY_MS = 86_400_000;

describeQuotaStores('quota: what is kept', (on) => {
  describe('the usage ledger', () => {
    const settle = async (id: string, organizationId: string, model: string): Promise<void> => {
      const holder = { keyId: `key-${organizationId}`, userId: '', organizationId };
      await on.quota.reserve(on.reservation({ reservationId: id, holder, model, limits: [] }));
      await on.quota.settle(id, used(10, 5));
    };
    const rows = async (first: number, last: number, organizationId?: string): Promise<UsageEntry[]> =>
      await Array.fromAsync(on.quota.usage(first, last, organizationId));

    test('adds up per day, holder, model and engine; days come in order, both ends included', async () => {
      const today = Math.floor(on.nowMs / DAY_MS);
      await settle('a', 'acme', 'chat');
      await settle('b', 'acme', 'chat');
      await settle('c', 'acme', 'code');
      await settle('d', 'umbrella', 'chat');
      on.nowMs += DAY_MS;
      await settle('e', 'acme', 'chat');
      const all = await rows(today, today + 1);
      expect(all.map(({ day }) => day - today)).toEqual([0, 0, 0, 1]);
      expect(
        all
          .slice(0, 3)
          .map((row) => `${row.organizationId} ${row.model} ${row.requests}`)
          .sort(),
      ).toEqual([...['acme chat 2', 'acme code 1', 'umbrella chat 1']]);
      expect(await rows(today + 1, today + 1)).toEqual([
        {
          ...{ day: today + 1, organizationId: 'acme', keyId: 'key-acme', userId: '', model: 'chat', engine: 'e1' },
          ...{ requests: 1, promptTokens: 10, completionTokens: 5 },
        },
      ]);
      expect((await rows(0, 100_000, 'acme')).length).toBe(3);
      expect(await rows(today + 2, today + 9)).toEqual([]);
      expect(await rows(0, 100_000, 'nobody')).toEqual([]);
    });

    test('is read whole however many rows a day has', async () => {
      const models = Array.from({ length: 1_203 }, (_, i) => `m${i}`);
      await Promise.all(models.map((model) => settle(model, 'acme', model)));
      for (const organizationId of [undefined, 'acme']) {
        const found = await rows(0, 100_000, organizationId);
        expect(new Set(found.map(({ model }) => model)).size).toBe(models.length);
        expect(found).toHaveLength(models.length);
      }
    });

    test('is kept for as many days as it is told, and no longer', async () => {
      const quota = await on.another(undefined, 2);
      await settle('a', 'acme', 'chat');
      on.nowMs += 2 * DAY_MS;
      await quota.sweep();
      expect(await on.ledger()).toHaveLength(1);
      on.nowMs += DAY_MS;
      await quota.sweep();
      expect(await on.ledger()).toEqual([]);
    });
  });

  describe('held leases', () => {
    test('are listed the oldest first, page by page, with what they hold', async () => {
      for (let i = 0; i < 7; i += 1) {
        await on.quota.reserve(on.reservation({ reservationId: `r${i}`, limits: [] }));
        // Two in the same moment now and then.
        on.nowMs += i % 2;
      }
      await on.quota.extend('r3', report(4, 0, 6), 90_000);
      await on.quota.settle('r5', used(1, 1));
      const pages: string[][] = [];
      for (let after: string | undefined, i = 0; i < 9; i += 1) {
        const page = await on.quota.heldLeases(2, after);
        pages.push(page.leases.map(({ reservationId }) => reservationId));
        after = page.next;
        if (after === undefined) break;
      }
      expect(pages).toEqual([
        ['r0', 'r1'],
        ['r2', 'r3'],
        ['r4', 'r6'],
      ]);
      const { leases } = await on.quota.heldLeases(10, undefined);
      expect(leases[0]).toMatchObject({ heldTokens: 30, completionTokens: 0, model: 'chat', holder: { keyId: 'k' } });
      expect(leases[3]).toMatchObject({ heldTokens: 16, completionTokens: 4, expiresAtMs: on.nowMs + 90_000 });
    });
  });

  describe('limits of subjects', () => {
    test('have one version; who asks under another is told to read them again, and takes nothing', async () => {
      expect(await on.quota.subjectLimits()).toEqual({ version: 0, bySubject: new Map() });
      expect(await on.quota.setSubjectLimits('key/a', '[1]')).toBe(1);
      expect(await on.quota.setSubjectLimits('key/b', '[2]')).toBe(2);
      expect(await on.quota.setSubjectLimits('key/b', '[2]')).toBe(2);
      expect(await on.quota.setSubjectLimits('key/none', undefined)).toBe(2);
      const asked = on.reservation();
      const other = await on.another();
      for (const quota of [on.quota, other]) {
        for (const limitsVersion of [0, 1, 3]) {
          expect(await quota.reserve({ ...asked, limitsVersion })).toEqual({ kind: 'stale' });
        }
      }
      expect((await on.room(asked.limits)).remaining).toEqual([3]);
      expect((await other.reserve({ ...asked, limitsVersion: 2 })).kind).toBe('admitted');
      expect(await other.setSubjectLimits('key/a', undefined)).toBe(3);
      expect(await on.quota.subjectLimits()).toEqual({ version: 3, bySubject: new Map([['key/b', '[2]']]) });
    });
  });

  test('what is held and what was settled outlives a restart and is seen by every connection', async () => {
    const limits = limitsOf(['requests', minute(9)], ['tokens', minute(1_000)], ['concurrent_requests', atOnce(9)]);
    const reserve = (reservationId: string) => on.quota.reserve(on.reservation({ reservationId, limits }));
    await reserve('settled');
    await reserve('held');
    await on.quota.settle('settled', used(4, 3));
    await on.quota.extend('held', report(2, 0, 5), 60_000);
    const before = await on.room(limits);
    expect(before).toEqual({ remaining: [7, 968, 8], held: [0, 18, 1] });
    on.quota = await on.another();
    expect(await on.room(limits)).toEqual(before);
    expect(await on.ledger()).toEqual([['e1', 1, 4, 3]]);
    expect((await on.quota.settle('held', used(5, 9))).kind).toBe('done');
    expect(await on.room(limits)).toEqual({ remaining: [7, 979, 9], held: [0, 0, 0] });
  });

  test('two connections that take turns see what the other did', async () => {
    const limits = limitsOf(['requests', minute(100)], ['tokens', minute(10_000)]);
    const quotas = [on.quota, await on.another()] as const;
    for (let i = 0; i < 20; i += 1) {
      const asked = on.reservation({ reservationId: `turn${i}`, limits });
      expect(await quotas[i % 2]?.reserve(asked)).toMatchObject({
        kind: 'admitted',
        statuses: [{ remaining: 99 - i }, {}],
      });
      expect(await quotas[(i + 1) % 2]?.settle(`turn${i}`, used(1, 1))).toMatchObject({ kind: 'done' });
    }
    expect(await on.room(limits)).toEqual({ remaining: [80, 9_960], held: [0, 0] });
    expect(await on.ledger()).toEqual([['e1', 20, 20, 20]]);
  });

  test('nothing grows: ended leases, expired ones and idle counters are dropped', async () => {
    const ids = Array.from({ length: 1_200 }, (_, i) => `gone${i}`);
    await Promise.all(
      ids.map(async (reservationId, i) => {
        const limits = [{ counter: `m/k${i}`, unit: 'requests', rule: minute(3) }] as const;
        await on.quota.reserve(on.reservation({ reservationId, limits, holdMs: 1 + (i % 2) }));
        if (i % 3 === 0) await on.quota.release(reservationId);
      }),
    );
    on.nowMs += 10;
    await on.quota.sweep();
    expect((await on.quota.heldLeases(1, undefined)).leases).toEqual([]);
    if (on.store.kind !== 'sqlite') return;
    const { database } = on.store;
    on.nowMs += RETENTION_MS + 60_000;
    for (let i = 0; i < 6; i += 1) await on.quota.sweep();
    const rows = (table: string) => Number(database.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n);
    expect(rows('quota_leases')).toBe(0);
    // Of blocks the last one stays.
    for (const table of ['quota_lease_blocks', 'quota_counter_blocks']) expect(rows(table)).toBeLessThanOrEqual(1);
  });

  test('a counter that holds is kept however long nothing was taken from it', async () => {
    const limits = limitsOf(['tokens', minute(100)]);
    await on.quota.reserve(on.reservation({ reservationId: 'long', limits, holdMs: DAY_MS }));
    await on.quota.reserve(on.reservation({ limits: limitsOf(['requests', minute(3)]) }));
    on.nowMs += DAY_MS - 1;
    await on.quota.sweep();
    expect(await on.room(limits)).toEqual({ remaining: [70], held: [30] });
  });

  test('a sweep loses nothing of what happens in the same moment', async () => {
    const limits = limitsOf(['requests', minute(3)], ['tokens', minute(100)]);
    await on.quota.reserve(on.reservation({ limits, holdMs: 1 }));
    on.nowMs += DAY_MS;
    const asked = on.reservation({ limits: limits.map((limit) => ({ ...limit, counter: `${limit.counter}2` })) });
    await Promise.all([on.quota.reserve(asked), on.quota.sweep(), on.quota.settle(asked.reservationId, used(5, 5))]);
    expect(await on.room(asked.limits)).toEqual({ remaining: [2, 90], held: [0, 0] });
    expect(await (await on.another()).inspect(asked.limits, on.demand)).toMatchObject([
      { remaining: 2 },
      { remaining: 90 },
    ]);
  });

  test.runIf(on.stores.kind === 'redis')('and Redis drops them by itself: what is not held has an expiry', async () => {
    if (on.store.kind !== 'redis') return;
    const { redis } = on.store;
    const limits = limitsOf(['requests', minute(3)], ['tokens', minute(300)]);
    await on.quota.reserve(on.reservation({ reservationId: 'held', limits }));
    await on.quota.reserve(on.reservation({ reservationId: 'done', limits: limitsOf(['requests', minute(3)]) }));
    await on.quota.settle('done', used(1, 1));
    const forever = async (): Promise<string[]> => {
      const keys = await redis.keys('mesh:quota:*');
      const lives = await Promise.all(keys.map((key) => redis.pttl(key)));
      // Days of the ledger are dropped by the sweeper.
      return keys.filter((key, i) => (lives[i] ?? 0) < 0 && !/:(days|rows|usage)\b/.test(key));
    };
    // What is held only its end returns, however long that takes.
    expect((await forever()).some((key) => key.includes('held'))).toBe(true);
    expect((await forever()).some((key) => key.includes('done'))).toBe(false);
    await on.quota.settle('held', used(1, 1));
    expect(await forever()).toEqual([]);
  });

  test.runIf(on.stores.kind === 'sqlite')('reads that come often need no full scan', () => {
    if (on.store.kind !== 'sqlite') return;
    const { database } = on.store;
    const plan = (sql: string): string => JSON.stringify(database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all());
    expect(plan('SELECT * FROM quota_leases WHERE due_ms <= 1 ORDER BY due_ms LIMIT 5')).toContain('quota_leases_due');
    const held = "state = 'held' AND (taken_at_ms, reservation_id) > (1, '') ORDER BY taken_at_ms, reservation_id";
    expect(plan(`SELECT * FROM quota_leases WHERE ${held} LIMIT 5`)).toMatch(/SEARCH.*quota_leases_held/);
    const row = "day = 1 AND organization_id = 'o' AND (key_id, user_id, model, engine) > ('', '', '', '')";
    expect(plan(`SELECT * FROM quota_ledger WHERE ${row} LIMIT 5`)).toContain('SEARCH');
  });
});
