import { expect, test } from 'vitest';
import { describeQuotaStores, used } from '../../../test/harness/quota-stores.ts';

describeQuotaStores('the ledger of version 1', (on) => {
  test.runIf(on.stores.kind === 'redis')('is moved once, into rows that may exist', async () => {
    if (on.store.kind !== 'redis') return;
    const { redis } = on.store;
    const today = Math.floor(on.nowMs / 86_400_000);
    const row = JSON.stringify(['k', 'u', 'acme', 'chat', 'e1']);
    // As its scripts wrote names with a slash.
    const other = '["k","u","acme","org\\/chat","e2"]';
    await redis.hset(`mesh:quota:{quota}:usage:${today}`, {
      ...{ [`requests:${row}`]: 2, [`prompt_tokens:${row}`]: 30, [`completion_tokens:${row}`]: 7 },
      ...{ [`requests:${other}`]: 1, [`prompt_tokens:${other}`]: 5, [`completion_tokens:${other}`]: 0 },
    });
    await redis.zadd('mesh:quota:{quota}:held', 1, 'r1');
    await on.quota.reserve(on.reservation({ reservationId: 'r' }));
    await on.quota.settle('r', used(100, 10));

    await on.quota.sweep();
    await (await on.another()).sweep();
    const rows = await Array.fromAsync(on.quota.usage(today - 1, today + 1, 'acme'));
    const figures = rows.map((entry) => [entry.model, entry.requests, entry.promptTokens, entry.completionTokens]);
    expect(figures.sort()).toEqual([
      ['chat', 3, 130, 17],
      ['org/chat', 1, 5, 0],
    ]);
    expect(await redis.keys('mesh:quota:{quota}:*')).toEqual([]);
  });
});
