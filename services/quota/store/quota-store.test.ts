import { beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../../../test/harness/processes.ts';
import { describeStores } from '../../../test/harness/stores.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Store } from '../../shared/store/store.ts';
import type { WindowRule } from '../budget.ts';
import { RETENTION_MS } from '../lease.ts';
import type { Counted, QuotaStore, Reservation } from './quota-store.ts';
import { createRedisQuotaStore } from './redis-quota-store.ts';
import { QUOTA_KEYS } from './redis-scripts.ts';
import { createSqliteQuotaStore } from './sqlite-quota-store.ts';

const minute = (maximum: number): WindowRule => ({ kind: 'window', maximum, stepMs: 1_000 });
const hour = (maximum: number): WindowRule => ({ kind: 'window', maximum, stepMs: 60_000 });

describeStores('quota', (stores) => {
  let nowMs: number;
  let store: Store;
  let quota: QuotaStore;
  let nextId = 0;

  const quotaOn = (on: Store): QuotaStore =>
    on.kind === 'sqlite' ? createSqliteQuotaStore(on, () => nowMs) : createRedisQuotaStore(on, () => nowMs);

  beforeEach(async () => {
    // Redis drops keys by its own clock, so the tests' clock starts there.
    nowMs = Date.now();
    store = await stores.openEmpty();
    quota = quotaOn(store);
  });

  function reservation(changes: Partial<Reservation> = {}): Reservation {
    nextId += 1;
    const id = changes.reservationId ?? `r${nextId}`;
    return {
      ...{ reservationId: id, operationId: `${id}:reserve`, model: 'chat', isCounted: false, holdMs: 60_000 },
      holder: { keyId: 'k', userId: 'u', organizationId: 'acme' },
      limits: [{ counter: 'm/k', rule: minute(3) }],
      ...changes,
    };
  }

  const reserveId = async (id: string, changes: Partial<Reservation> = {}) =>
    await quota.reserve(reservation({ reservationId: id, ...changes }));
  /** As callers do whose answer was late on a busy machine: the same reservation again changes nothing. */
  async function reserveSurely(on: QuotaStore, asked: Reservation): ReturnType<QuotaStore['reserve']> {
    for (let tries = 1; ; tries++) {
      try {
        return await on.reserve(asked);
      } catch (error) {
        if (tries === 20 || !(error instanceof MeshError) || error.reason !== 'STORE_UNAVAILABLE') throw error;
      }
    }
  }
  const remaining = async (limits: readonly Counted[] = reservation().limits) =>
    (await quota.inspect(limits)).map((status) => status.remaining);
  const used = (promptTokens: number, completionTokens: number) => ({ promptTokens, completionTokens, engine: 'e1' });

  /** The ledger as [model, requests, prompt tokens, completion tokens] per row. */
  async function ledger(): Promise<unknown[]> {
    if (store.kind === 'sqlite') {
      const rows = store.database.prepare('SELECT * FROM quota_usage').all();
      return rows.map((row) => [
        row.key_id,
        row.model,
        row.engine,
        row.requests,
        row.prompt_tokens,
        row.completion_tokens,
      ]);
    }
    const day = await store.redis.hgetall(`${QUOTA_KEYS}usage:${Math.floor(nowMs / 86_400_000)}`);
    const rows = Object.keys(day).filter((field) => field.startsWith('requests:'));
    return rows.map((field) => {
      const row = field.slice('requests:'.length);
      const [keyId, , , model, engine] = JSON.parse(row) as string[];
      const figures = ['requests', 'prompt_tokens', 'completion_tokens'].map((name) => Number(day[`${name}:${row}`]));
      return [keyId, model, engine, ...figures];
    });
  }

  describe('Reserve', () => {
    test('takes from all limits or from none', async () => {
      const limits = [
        { counter: 'm/k', rule: minute(3) },
        { counter: 'h/k', rule: hour(2) },
        { counter: 'b/k', rule: { kind: 'bucket', refillPerMinute: 60, burst: 10 } },
      ] as const;
      expect(await quota.reserve(reservation({ limits }))).toMatchObject({
        kind: 'admitted',
        expiresAtMs: nowMs + 60_000,
        statuses: [{ remaining: 2 }, { remaining: 1 }, { remaining: 9 }],
      });
      await quota.reserve(reservation({ limits }));
      const refused = await quota.reserve(reservation({ limits }));
      expect(refused).toMatchObject({
        kind: 'refused',
        statuses: [{ remaining: 1, retryAfterMs: 0 }, { remaining: 0 }, {}],
      });
      expect(refused.kind === 'refused' && (refused.statuses[1]?.retryAfterMs ?? 0) > 3_500_000).toBe(true);
      expect(await remaining(limits)).toEqual([1, 0, 8]);
    });

    test('repeated under its operation id takes nothing and answers as before', async () => {
      const asked = reservation();
      const first = await quota.reserve(asked);
      nowMs += 10;
      expect(await quota.reserve(asked)).toMatchObject({ kind: 'admitted', expiresAtMs: nowMs - 10 + 60_000 });
      expect(first.kind).toBe('admitted');
      expect(await remaining()).toEqual([2]);
      // Also when it comes after the end.
      await quota.settle(asked.reservationId, used(1, 1));
      expect((await quota.reserve(asked)).kind).toBe('admitted');
      expect(await remaining()).toEqual([2]);
      expect((await quota.reserve({ ...asked, operationId: 'another' })).kind).toBe('taken');
    });

    test('a request that was counted before takes nothing and is never refused', async () => {
      for (let i = 0; i < 3; i += 1) await quota.reserve(reservation());
      expect((await quota.reserve(reservation())).kind).toBe('refused');
      expect(await quota.reserve(reservation({ isCounted: true }))).toMatchObject({
        kind: 'admitted',
        statuses: [{ remaining: 0 }],
      });
      // And gives nothing back.
      await reserveId('counted', { isCounted: true });
      await quota.release('counted');
      expect(await remaining()).toEqual([0]);
    });

    test('without limits admits and still keeps a lease', async () => {
      expect(await reserveId('r', { limits: [] })).toMatchObject({ kind: 'admitted', statuses: [] });
      expect((await quota.settle('r', used(1, 2))).kind).toBe('done');
    });

    test('500 at once with room for 37 admit exactly 37, over several connections', async () => {
      const quotas = await Promise.all(Array.from({ length: 5 }, async () => quotaOn(await stores.open())));
      const limits = [
        { counter: 'm/x', rule: minute(400) },
        { counter: 'h/x', rule: hour(37) },
      ];
      const answers = await Promise.all(
        Array.from({ length: 500 }, (_, i) => reserveSurely(quotas[i % 5] ?? quota, reservation({ limits }))),
      );
      expect(answers.filter(({ kind }) => kind === 'admitted')).toHaveLength(37);
      expect(await remaining(limits)).toEqual([400 - 37, 0]);
    });

    test('the same reservation from many connections at once is taken once', async () => {
      const quotas = await Promise.all(Array.from({ length: 4 }, async () => quotaOn(await stores.open())));
      const asked = reservation();
      const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => quotas[i % 4]?.reserve(asked)));
      expect(answers.every((answer) => answer?.kind === 'admitted')).toBe(true);
      expect(await remaining()).toEqual([2]);
    });
  });

  describe('Settle', () => {
    test('writes the ledger once; the same again is answered as the first, other figures are refused', async () => {
      await reserveId('r');
      const settledAtMs = nowMs;
      expect(await quota.settle('r', used(10, 5))).toEqual({ kind: 'done', endedAtMs: settledAtMs });
      nowMs += 1_000;
      expect(await quota.settle('r', used(10, 5))).toEqual({ kind: 'done', endedAtMs: settledAtMs });
      expect(await quota.settle('r', used(10, 6))).toEqual({ kind: 'ended', state: 'settled' });
      expect(await quota.release('r')).toEqual({ kind: 'ended', state: 'settled' });
      expect(await ledger()).toEqual([['k', 'chat', 'e1', 1, 10, 5]]);
      expect(await remaining()).toEqual([2]);
    });

    test('adds up per key, model and engine', async () => {
      for (const [id, model] of [
        ['a', 'chat'],
        ['b', 'chat'],
        ['c', 'code'],
      ] as const) {
        await reserveId(id, { model });
        await quota.settle(id, used(10, 5));
      }
      expect((await ledger()).sort()).toEqual([
        ['k', 'chat', 'e1', 2, 20, 10],
        ['k', 'code', 'e1', 1, 10, 5],
      ]);
    });

    test('settles once however many ask at once', async () => {
      await reserveId('r');
      const answers = await Promise.all(Array.from({ length: 30 }, () => quota.settle('r', used(3, 4))));
      expect(answers.every(({ kind }) => kind === 'done')).toBe(true);
      expect(await ledger()).toEqual([['k', 'chat', 'e1', 1, 3, 4]]);
    });

    test('of what was never reserved is unknown', async () => {
      expect(await quota.settle('none', used(1, 1))).toEqual({ kind: 'unknown' });
      expect(await quota.release('none')).toEqual({ kind: 'unknown' });
      expect(await ledger()).toEqual([]);
    });
  });

  describe('Release', () => {
    test('gives the request back, once', async () => {
      const limits = [
        { counter: 'm/k', rule: minute(3) },
        { counter: 'b/k', rule: { kind: 'bucket', refillPerMinute: 60, burst: 10 } },
      ] as const;
      await reserveId('a', { limits });
      nowMs += 5_000;
      await reserveId('b', { limits });
      expect(await remaining(limits)).toEqual([1, 9]);
      expect(await quota.release('a')).toEqual({ kind: 'done', endedAtMs: nowMs });
      expect(await quota.release('a')).toMatchObject({ kind: 'done' });
      expect(await remaining(limits)).toEqual([2, 10]);
      expect(await quota.settle('a', used(1, 1))).toEqual({ kind: 'ended', state: 'released' });
      expect(await ledger()).toEqual([]);
    });
  });

  describe('a lease whose owner is gone', () => {
    test('expires on time, whether the sweeper came by or not', async () => {
      await reserveId('swept', { holdMs: 1_000 });
      await reserveId('unswept', { holdMs: 2_000 });
      await reserveId('alive', { holdMs: 100_000 });
      nowMs += 1_000;
      await quota.sweep();
      nowMs += 1_000;
      for (const id of ['swept', 'unswept']) {
        expect(await quota.settle(id, used(1, 1))).toEqual({ kind: 'ended', state: 'expired' });
        expect(await quota.release(id)).toEqual({ kind: 'ended', state: 'expired' });
      }
      expect(await quota.settle('alive', used(1, 1))).toMatchObject({ kind: 'done' });
      // The requests count all the same.
      expect(await remaining()).toEqual([0]);
      expect(await ledger()).toHaveLength(1);
    });
  });

  test('nothing grows: ended leases, expired ones and idle counters are dropped', async () => {
    for (let i = 0; i < 1_200; i += 1) {
      const limits = [{ counter: `m/k${i}`, rule: minute(3) }];
      await reserveId(`gone${i}`, { limits, holdMs: 1 + (i % 2) });
      if (i % 3 === 0) await quota.release(`gone${i}`);
    }
    nowMs += 10;
    await quota.sweep();
    if (store.kind === 'sqlite') {
      nowMs += RETENTION_MS;
      for (let i = 0; i < 5; i += 1) await quota.sweep();
      for (const table of ['quota_leases', 'quota_counters']) {
        expect(store.database.prepare(`SELECT count(*) AS rows FROM ${table}`).get()).toEqual({ rows: 0 });
      }
      return;
    }
    const { redis } = store;
    expect(await redis.zcard(`${QUOTA_KEYS}held`)).toBe(0);
    // The server drops them by itself: everything has an expiry that is not far away.
    for (const key of await redis.keys(`${QUOTA_KEYS}*`)) {
      const lifeMs = await redis.pttl(key);
      expect(lifeMs).toBeGreaterThan(0);
      expect(lifeMs).toBeLessThanOrEqual(RETENTION_MS + 60_000);
    }
  });

  test.runIf(stores.kind === 'sqlite')('the reads of a sweep need no full scan', () => {
    if (store.kind !== 'sqlite') return;
    const plan = store.database
      .prepare('EXPLAIN QUERY PLAN SELECT reservation_id FROM quota_leases WHERE due_ms <= 1 ORDER BY due_ms LIMIT 5')
      .all();
    expect(JSON.stringify(plan)).toContain('quota_leases_due');
  });

  test.runIf(stores.kind === 'redis')('the server’s clock decides, not that of the process', async () => {
    if (store.kind !== 'redis') return;
    const onServerTime = createRedisQuotaStore(store);
    const answer = await onServerTime.reserve(reservation());
    const [seconds] = await store.redis.time();
    expect(answer.kind === 'admitted' && Math.abs(answer.expiresAtMs - 60_000 - Number(seconds) * 1000)).toBeLessThan(
      3_000,
    );
  });

  // Last: it stops the server for good.
  test.runIf(stores.kind === 'redis')('a store that is away refuses, and never admits', async () => {
    await stores.server().stop('SIGKILL');
    await eventually('the loss is seen', () =>
      quota.reserve(reservation()).then(
        () => false,
        (error: { reason?: string }) => error.reason === 'STORE_UNAVAILABLE',
      ),
    );
  });
});
