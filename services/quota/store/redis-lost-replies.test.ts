import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FaultProxy, startFaultProxy } from '../../../test/harness/fault-proxy.ts';
import { eventually } from '../../../test/harness/processes.ts';
import { atOnce, hour, limitsOf, report, used } from '../../../test/harness/quota-stores.ts';
import { hasRedis, startRedis } from '../../../test/harness/redis.ts';
import { closeStore, openStore, type Store } from '../../shared/store/store.ts';
import type { QuotaStore, Reservation } from './quota-store.ts';
import { createRedisQuotaStore } from './redis-quota-store.ts';

describe.skipIf(!hasRedis())('a reply that is lost', () => {
  const limits = limitsOf(['requests', hour(10)], ['tokens', hour(1_000)], ['concurrent_requests', atOnce(5)]);
  let redis: Awaited<ReturnType<typeof startRedis>>;
  let proxy: FaultProxy;
  let store: Store;
  let quota: QuotaStore;

  beforeAll(async () => {
    redis = await startRedis();
    proxy = await startFaultProxy(Number(new URL(redis.url).port));
    const redisUrl = `redis://127.0.0.1:${proxy.port}`;
    store = await openStore({ redisUrl, sqlitePath: '', log: pino({ level: 'silent' }), commandTimeoutMs: 10_000 });
    if (store.kind !== 'redis') throw new Error('expected Redis');
    quota = createRedisQuotaStore(store);
  });
  afterAll(async () => {
    await closeStore(store);
    await proxy.close();
    await redis.server.stop('SIGKILL');
  });

  const reservation = (id: string): Reservation => ({
    ...{ reservationId: id, operationId: `${id}:reserve`, model: 'chat', limits, limitsVersion: 0, holdMs: 60_000 },
    holder: { keyId: 'k', userId: 'u', organizationId: id },
    ...{ isCounted: true, promptBound: 100, maxCompletionTokens: 200, coveredTokens: 50 },
  });
  const room = async (): Promise<number[]> =>
    (await quota.inspect(limits, { ...reservation(''), isCounted: false })).map(({ remaining }) => remaining);

  /** Makes a call whose reply is lost, then the same again as its caller does; returns the second answer. */
  async function repeated<T>(call: () => Promise<T>): Promise<T> {
    // The server knows the script: what is lost is the answer to it and not to its loading.
    const before = proxy.droppedReplies();
    proxy.dropNextReply();
    await expect(call()).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE' });
    expect(proxy.droppedReplies()).toBe(before + 1);
    return await eventually('the store answers again', call);
  }

  test('and the call that is repeated: everything happened once', async () => {
    await quota.reserve(reservation('known'));
    await quota.extend('known', report(1), 60_000);
    await quota.settle('known', used(1, 1));
    await quota.reserve(reservation('known too'));
    await quota.release('known too');
    const [requests = 0, tokens = 0, running = 0] = await room();

    expect(await repeated(() => quota.reserve(reservation('a')))).toMatchObject({
      kind: 'admitted',
      coveredTokens: 50,
    });
    expect(await room()).toEqual([requests - 1, tokens - 150, running - 1]);
    expect(await repeated(() => quota.extend('a', report(40, 120, 90), 60_000))).toMatchObject({ coveredTokens: 120 });
    expect(await room()).toEqual([requests - 1, tokens - 210, running - 1]);
    expect((await repeated(() => quota.settle('a', used(90, 60)))).kind).toBe('done');
    expect(await room()).toEqual([requests - 1, tokens - 150, running]);
    expect(await Array.fromAsync(quota.usage(0, 100_000, 'a'))).toMatchObject([
      { requests: 1, promptTokens: 90, completionTokens: 60 },
    ]);

    await quota.reserve(reservation('b'));
    expect((await repeated(() => quota.release('b'))).kind).toBe('done');
    expect(await room()).toEqual([requests - 1, tokens - 150, running]);
  });
});
