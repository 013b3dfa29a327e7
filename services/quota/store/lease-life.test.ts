import { describe, expect, test } from 'vitest';
import { day, describeQuotaStores, hour, limitsOf, minute, report, used } from '../../../test/harness/quota-stores.ts';
import type { Rule } from '../budget.ts';
import { RETENTION_MS } from '../lease.ts';

const BUCKET: Rule = { kind: 'bucket', refillPerMinute: 60, burst: 1_000 };

describeQuotaStores('quota: the life of a lease', (on) => {
  const reserve = async (reservationId: string, changes: Parameters<typeof on.reservation>[0] = {}) =>
    await on.quota.reserve(on.reservation({ reservationId, ...changes }));

  describe('Extend', () => {
    const limits = limitsOf(['tokens', hour(100)], ['completion_tokens', BUCKET], ['prompt_tokens', day(50)]);

    test('spends what was told, returns what the prompt was reserved too much, and renews the lease', async () => {
      await reserve('r', { limits });
      expect(await on.room(limits)).toEqual({ remaining: [70, 980, 40], held: [30, 20, 10] });
      on.nowMs += 1_000;
      expect(await on.quota.extend('r', report(5, 0, 7), 30_000)).toEqual({
        ...{ kind: 'held', expiresAtMs: on.nowMs + 30_000, coveredTokens: 20 },
      });
      expect(await on.room(limits)).toEqual({ remaining: [73, 980, 43], held: [15, 15, 0] });
    });

    test('late, repeated and disordered reports change nothing', async () => {
      await reserve('r', { limits, maxCompletionTokens: 200 });
      await on.quota.extend('r', report(9, 30, 8), 60_000);
      const after = await on.room(limits);
      for (const progress of [report(9, 30, 8), report(3, 25), report(0, 0, 4)]) {
        expect(await on.quota.extend('r', progress, 60_000)).toMatchObject({ kind: 'held', coveredTokens: 30 });
      }
      expect(await on.room(limits)).toEqual(after);
    });

    test('covers more as far as the tightest limit has room, and never more than the generation may have', async () => {
      await reserve('r', { limits, maxCompletionTokens: 95 });
      expect(await on.quota.extend('r', report(0, 50), 60_000)).toMatchObject({ coveredTokens: 50 });
      // 100 tokens in an hour, 10 of them for the prompt.
      expect(await on.quota.extend('r', report(0, 500), 60_000)).toMatchObject({ coveredTokens: 90 });
      expect((await on.room(limits)).remaining[0]).toBe(0);
      expect(await on.quota.extend('r', report(90, 500, 2), 60_000)).toMatchObject({ coveredTokens: 95 });
      expect(await on.room(limits)).toMatchObject({ remaining: [3, 905, 48], held: [5, 5, 0] });
    });

    test('of an ended lease says so, of none too', async () => {
      await reserve('r');
      await on.quota.settle('r', used(1, 1));
      expect(await on.quota.extend('r', report(2), 60_000)).toEqual({ kind: 'ended', state: 'settled' });
      expect(await on.quota.extend('none', report(2), 60_000)).toEqual({ kind: 'unknown' });
    });

    test('that ran out while nobody could report is spared by a sweep that is told so', async () => {
      await reserve('r', { limits });
      on.nowMs += 70_000;
      await on.quota.sweep(10_001);
      await on.quota.sweep(Number.POSITIVE_INFINITY);
      expect(await on.quota.extend('r', report(5), 1)).toMatchObject({ kind: 'held' });
      on.nowMs += 10_000;
      await on.quota.sweep(9_998);
      expect(await on.quota.extend('r', report(6), 1)).toEqual({ kind: 'ended', state: 'expired' });
    });

    test('after the expiry still finds all of it held until the sweeper comes by', async () => {
      await reserve('r', { limits });
      on.nowMs += 70_000;
      expect(await on.quota.extend('r', report(5), 60_000)).toMatchObject({ kind: 'held' });
      await on.quota.sweep();
      expect((await on.quota.settle('r', used(10, 6))).kind).toBe('done');
    });
  });

  describe('Settle', () => {
    const limits = limitsOf(['requests', minute(3)], ['tokens', day(100)]);

    test('spends what was used, returns the rest, writes the ledger once', async () => {
      await reserve('r', { limits });
      const endedAtMs = on.nowMs;
      expect(await on.quota.settle('r', used(10, 5))).toEqual({ kind: 'done', endedAtMs });
      expect(await on.room(limits)).toEqual({ remaining: [2, 85], held: [0, 0] });
      on.nowMs += 1_000;
      expect(await on.quota.settle('r', used(10, 5))).toEqual({ kind: 'done', endedAtMs });
      expect(await on.quota.settle('r', used(10, 6))).toEqual({ kind: 'ended', state: 'settled' });
      expect(await on.quota.release('r')).toEqual({ kind: 'ended', state: 'settled' });
      expect(await on.ledger()).toEqual([['e1', 1, 10, 5]]);
      expect(await on.room(limits)).toEqual({ remaining: [2, 85], held: [0, 0] });
    });

    test('never puts a limit over its maximum, whatever it is told; the ledger is exact', async () => {
      await reserve('r', { limits });
      await on.quota.settle('r', used(90, 500));
      expect((await on.room(limits)).remaining).toEqual([2, 0]);
      expect(await on.ledger()).toEqual([['e1', 1, 90, 500]]);
    });

    test('settles once however many ask at once', async () => {
      await reserve('r', { limits });
      const answers = await Promise.all(Array.from({ length: 30 }, () => on.quota.settle('r', used(3, 4))));
      expect(answers.every(({ kind }) => kind === 'done')).toBe(true);
      expect(await on.ledger()).toEqual([['e1', 1, 3, 4]]);
      expect((await on.room(limits)).remaining).toEqual([2, 93]);
    });

    test('of what was never reserved, or ended long ago, is unknown', async () => {
      expect(await on.quota.settle('none', used(1, 1))).toEqual({ kind: 'unknown' });
      await reserve('r');
      await on.quota.settle('r', used(1, 1));
      on.nowMs += RETENTION_MS;
      expect(await on.quota.settle('r', used(1, 1))).toEqual({ kind: 'unknown' });
      expect(await on.quota.release('r')).toEqual({ kind: 'unknown' });
      expect((await reserve('r')).kind).toBe('admitted');
    });
  });

  describe('Release', () => {
    test('gives the request back in the step in which it was taken, and all that is held, once', async () => {
      const limits = limitsOf(['requests', minute(3)], ['requests', BUCKET], ['tokens', day(100)]);
      await reserve('a', { limits });
      on.nowMs += 5_000;
      await reserve('b', { limits });
      const endedAtMs = on.nowMs;
      expect(await on.quota.release('a')).toEqual({ kind: 'done', endedAtMs });
      on.nowMs += 1;
      expect(await on.quota.release('a')).toEqual({ kind: 'done', endedAtMs });
      expect(await on.room(limits)).toEqual({ remaining: [2, 1_000, 70], held: [0, 0, 30] });
      expect(await on.quota.settle('a', used(1, 1))).toEqual({ kind: 'ended', state: 'released' });
      expect(await on.ledger()).toEqual([]);
    });

    test('of what expired comes too late, whether the sweeper came by or not', async () => {
      for (const id of ['swept', 'unswept']) await reserve(id, { holdMs: id === 'swept' ? 1_000 : 2_000 });
      on.nowMs += 1_000;
      await on.quota.sweep();
      on.nowMs += 1_000;
      for (const id of ['swept', 'unswept']) {
        expect(await on.quota.release(id)).toEqual({ kind: 'ended', state: 'expired' });
      }
    });
  });

  describe('a lease whose owner is gone', () => {
    const limits = limitsOf(['requests', minute(3)], ['tokens', day(100)]);

    test('is settled at its last report when it expires; one without a report counts as a request', async () => {
      await reserve('reported', { limits });
      await reserve('silent', { limits });
      await on.quota.extend('reported', report(6, 0, 9), 60_000);
      on.nowMs += 59_999;
      await on.quota.sweep();
      expect((await on.room(limits)).held).toEqual([0, 30 + 14]);
      on.nowMs += 1;
      await on.quota.sweep();
      expect((await on.room(limits)).held).toEqual([0, 0]);
      expect((await on.room(limits)).remaining[1]).toBe(100 - 15);
      const other = await on.another();
      expect(await other.inspect(limits, on.demand)).toMatchObject([{ held: 0 }, { held: 0 }]);
      expect(await other.extend('silent', report(1), 9_000)).toEqual({ kind: 'ended', state: 'expired' });
      expect(await on.ledger()).toContainEqual(['', 2, 9, 6]);
      expect(await on.quota.extend('reported', report(7), 60_000)).toEqual({ kind: 'ended', state: 'expired' });
      expect(await reserve('silent', { limits })).toEqual({ kind: 'ended', state: 'expired' });
    });

    test('may be settled late: the ledger becomes exact, limits get what fits', async () => {
      await reserve('late', { limits });
      await on.quota.extend('late', report(6, 0, 9), 60_000);
      on.nowMs += 60_000;
      await on.quota.sweep();
      await reserve('other', { limits, coveredTokens: 70, maxCompletionTokens: 70 });
      expect((await on.room(limits)).remaining[1]).toBe(5);
      const endedAtMs = on.nowMs;
      expect(await on.quota.settle('late', used(9, 16))).toEqual({ kind: 'done', endedAtMs });
      expect(await on.quota.settle('late', used(9, 16))).toEqual({ kind: 'done', endedAtMs });
      expect((await on.room(limits)).remaining[1]).toBe(0);
      expect((await on.ledger()).sort()).toEqual([
        ['', 1, 9, 6],
        ['e1', 0, 0, 10],
      ]);
    });
  });

  test('its end follows the limits that it began with', async () => {
    const before = limitsOf(['tokens', day(100)]);
    await reserve('r', { limits: before });
    await on.quota.settle('r', used(10, 20));
    const lower = limitsOf(['tokens', day(25)]);
    expect((await on.room(lower)).remaining).toEqual([0]);
    expect((await on.room(before)).remaining).toEqual([70]);
  });
});
