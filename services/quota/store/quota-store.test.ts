import { describe, expect, test } from 'vitest';
import { eventually } from '../../../test/harness/processes.ts';
import { atOnce, day, describeQuotaStores, hour, limitsOf, minute, used } from '../../../test/harness/quota-stores.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { NEVER_MS, type Rule } from '../budget.ts';
import type { QuotaStore, Reservation } from './quota-store.ts';
import { createRedisQuotaStore } from './redis-quota-store.ts';

const BUCKET: Rule = { kind: 'bucket', refillPerMinute: 60, burst: 10 };

describeQuotaStores('quota: admission', (on) => {
  /** As callers do whose answer was late on a busy machine: the same reservation again changes nothing. */
  async function reserveSurely(quota: QuotaStore, asked: Reservation): ReturnType<QuotaStore['reserve']> {
    for (let tries = 1; ; tries++) {
      try {
        return await quota.reserve(asked);
      } catch (error) {
        if (tries === 20 || !(error instanceof MeshError) || error.reason !== 'STORE_UNAVAILABLE') throw error;
      }
    }
  }

  test('takes from all limits or from none, and tells the state of each', async () => {
    const limits = limitsOf(['requests', minute(3)], ['requests', hour(2)], ['requests', BUCKET], ['tokens', day(90)]);
    const reserve = () => on.quota.reserve(on.reservation({ limits }));
    expect(await reserve()).toMatchObject({
      kind: 'admitted',
      expiresAtMs: on.nowMs + 60_000,
      coveredTokens: 20,
      statuses: [{ remaining: 2, held: 0 }, { remaining: 1 }, { remaining: 9 }, { remaining: 60, held: 30 }],
    });
    await reserve();
    const refused = await reserve();
    expect(refused).toMatchObject({
      kind: 'refused',
      statuses: [{ remaining: 1, retryAfterMs: 0 }, { remaining: 0 }, {}, { remaining: 30, retryAfterMs: 0 }],
    });
    expect(refused.kind === 'refused' && (refused.statuses[1]?.retryAfterMs ?? 0) > 3_500_000).toBe(true);
    expect(await on.room(limits)).toEqual({ remaining: [1, 0, 8, 30], held: [0, 0, 0, 60] });
  });

  const rules: readonly (readonly [string, (maximum: number) => Rule])[] = [
    ['second', (maximum) => ({ kind: 'window', maximum, stepMs: 20, steps: 50 })],
    ['minute', minute],
    ['hour', hour],
    ['day', day],
    ['month', (maximum) => ({ kind: 'calendar', maximum, period: 'month' })],
    ['bucket', (maximum) => ({ kind: 'bucket', refillPerMinute: 1, burst: maximum })],
  ];
  // Of 10 prompt tokens, 20 completion tokens and 1 request there is room for two and a bit.
  const units = { requests: [2, 1], prompt_tokens: [25, 10], completion_tokens: [45, 20], tokens: [70, 30] } as const;
  describe.each(rules)('per %s', (_window, rule) => {
    test.each(Object.entries(units))(
      '%s: two find room, the third does not and takes nothing',
      async (unit, numbers) => {
        const [maximum, need] = numbers;
        const limits = limitsOf([unit as keyof typeof units, rule(maximum)]);
        const kinds: string[] = [];
        for (let i = 0; i < 3; i += 1) kinds.push((await on.quota.reserve(on.reservation({ limits }))).kind);
        expect(kinds).toEqual(['admitted', 'admitted', 'refused']);
        expect((await on.room(limits)).remaining).toEqual([maximum - 2 * need]);
      },
    );
  });

  test.each([
    ['concurrent_requests', 2, 1],
    ['concurrent_context_tokens', 70, 30],
  ] as const)('%s: free again when the work ends, however it ends', async (unit, maximum, need) => {
    const limits = limitsOf([unit, atOnce(maximum)]);
    const reserve = async (reservationId: string) =>
      (await on.quota.reserve(on.reservation({ reservationId, limits, coveredTokens: 5 }))).kind;
    expect([await reserve('a'), await reserve('b'), await reserve('c')]).toEqual(['admitted', 'admitted', 'refused']);
    expect(await on.room(limits)).toEqual({ remaining: [maximum - 2 * need], held: [2 * need] });
    await on.quota.settle('a', used(10, 3));
    await on.quota.release('b');
    expect(await on.room(limits)).toEqual({ remaining: [maximum], held: [0] });
    await reserve('d');
    on.nowMs += 60_000;
    await on.quota.sweep();
    expect(await on.room(limits)).toEqual({ remaining: [maximum], held: [0] });
  });

  test('tells one who asks for more than a limit ever allows that no wait helps', async () => {
    const limits = limitsOf(['tokens', day(29)], ['requests', minute(1)]);
    expect(await on.quota.reserve(on.reservation({ limits }))).toMatchObject({
      kind: 'refused',
      statuses: [
        { remaining: 29, retryAfterMs: NEVER_MS },
        { remaining: 1, retryAfterMs: 0 },
      ],
    });
    expect(await on.quota.inspect(limits, on.demand)).toMatchObject([{ retryAfterMs: NEVER_MS }, { retryAfterMs: 0 }]);
  });

  test('repeated under its operation id takes nothing and answers as before', async () => {
    const asked = on.reservation({ limits: limitsOf(['requests', minute(3)], ['tokens', day(100)]) });
    const expiresAtMs = on.nowMs + 60_000;
    await on.quota.reserve(asked);
    on.nowMs += 10;
    const again = { kind: 'admitted', expiresAtMs, coveredTokens: 20, statuses: [{ remaining: 2 }, { remaining: 70 }] };
    expect(await on.quota.reserve(asked)).toMatchObject(again);
    // Also for one that has not seen that the limits changed since.
    await on.quota.setSubjectLimits('key/k', '[]');
    expect(await on.quota.reserve(asked)).toMatchObject(again);
    expect(await on.quota.reserve({ ...asked, operationId: 'another' })).toEqual({ kind: 'taken' });
    await on.quota.settle(asked.reservationId, used(1, 1));
    expect(await on.quota.reserve(asked)).toEqual({ kind: 'ended', state: 'settled' });
    expect((await on.room(asked.limits)).remaining).toEqual([2, 98]);
  });

  test('a request that was counted before leaves limits on requests alone, also when it is released', async () => {
    const limits = limitsOf(['requests', minute(1)], ['tokens', day(60)]);
    expect((await on.quota.reserve(on.reservation({ limits }))).kind).toBe('admitted');
    expect((await on.quota.reserve(on.reservation({ limits }))).kind).toBe('refused');
    const counted = on.reservation({ limits, isCounted: false });
    expect(await on.quota.reserve(counted)).toMatchObject({ kind: 'admitted', statuses: [{ remaining: 0 }, {}] });
    expect((await on.quota.reserve({ ...counted, reservationId: 'x', operationId: 'x' })).kind).toBe('refused');
    await on.quota.release(counted.reservationId);
    expect((await on.room(limits)).remaining).toEqual([0, 30]);
    const again = on.reservation({ limits, isCounted: false });
    await on.quota.reserve(again);
    await on.quota.settle(again.reservationId, used(4, 2));
    expect(await on.ledger()).toEqual([['e1', 0, 4, 2]]);
  });

  test('takes whoever is a holder and more, as a principal whose credential ends is', async () => {
    const holder = { keyId: 'k', userId: 'ann', organizationId: 'acme', expiresAt: { seconds: 1_800_000_000n } };
    const { reservationId } = on.reservation({ reservationId: 'of-a-token' });
    expect(await on.quota.reserve(on.reservation({ reservationId, holder }))).toMatchObject({ kind: 'admitted' });
    // Read again by a process that starts anew.
    const { leases } = await (await on.another(on.store)).heldLeases(10, undefined);
    expect(leases).toMatchObject([{ holder: { keyId: 'k', userId: 'ann', organizationId: 'acme' } }]);
  });

  test('without limits admits and still keeps a lease', async () => {
    const asked = on.reservation({ limits: [] });
    expect(await on.quota.reserve(asked)).toMatchObject({ kind: 'admitted', statuses: [] });
    expect((await on.quota.settle(asked.reservationId, used(1, 2))).kind).toBe('done');
  });

  test('500 at once with room for 37 admit exactly 37, over several connections', async () => {
    const quotas = await Promise.all(Array.from({ length: 5 }, () => on.another()));
    const limits = limitsOf(['requests', minute(400)], ['tokens', hour(37 * 30 + 29)]);
    const answers = await Promise.all(
      Array.from({ length: 500 }, (_, i) => reserveSurely(quotas[i % 5] ?? on.quota, on.reservation({ limits }))),
    );
    expect(answers.filter(({ kind }) => kind === 'admitted')).toHaveLength(37);
    expect(await on.room(limits)).toEqual({ remaining: [363, 29], held: [0, 37 * 30] });
  });

  test('the same reservation from many connections at once is taken once', async () => {
    const quotas = await Promise.all(Array.from({ length: 4 }, () => on.another()));
    const asked = on.reservation();
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => reserveSurely(quotas[i % 4] ?? on.quota, asked)),
    );
    expect(answers.every((answer) => answer.kind === 'admitted')).toBe(true);
    expect((await on.room(asked.limits)).remaining).toEqual([2]);
  });

  test.runIf(on.stores.kind === 'redis')('the server’s clock decides, not that of the process', async () => {
    if (on.store.kind !== 'redis') return;
    const answer = await createRedisQuotaStore(on.store).reserve(on.reservation());
    const [seconds] = await on.store.redis.time();
    const takenAtMs = answer.kind === 'admitted' ? answer.expiresAtMs - 60_000 : 0;
    expect(Math.abs(takenAtMs - Number(seconds) * 1000)).toBeLessThan(30_000);
  });

  // Last: it stops the server for good.
  test.runIf(on.stores.kind === 'redis')('a store that is away refuses, and never admits', async () => {
    await on.stores.server().stop('SIGKILL');
    await eventually('the loss is seen', () =>
      on.quota.reserve(on.reservation()).then(
        () => false,
        (error: { reason?: string }) => error.reason === 'STORE_UNAVAILABLE',
      ),
    );
  });
});
