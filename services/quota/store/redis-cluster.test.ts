import { Cluster, Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { atOnce, day, limitsOf, minute, report, used } from '../../../test/harness/quota-stores.ts';
import { hasRedis } from '../../../test/harness/redis.ts';
import { startRedisCluster } from '../../../test/harness/redis-cluster.ts';
import type { RedisStore } from '../../shared/store/redis.ts';
import type { Reservation } from './quota-store.ts';
import { createRedisQuotaStore } from './redis-quota-store.ts';

describe.skipIf(!hasRedis())('quota on a Redis Cluster', () => {
  test('every script runs on the one node that has all keys', async () => {
    const servers = await startRedisCluster(3);
    const cluster = new Cluster(servers.ports.map((port) => ({ host: '127.0.0.1', port })));
    try {
      // All that the quota store does with a connection a cluster's does, too.
      const store = { kind: 'redis', redis: cluster } as unknown as RedisStore;
      const quota = createRedisQuotaStore(store);
      const limits = limitsOf(['requests', minute(3)], ['tokens', day(100)], ['concurrent_requests', atOnce(2)]);
      const asked: Reservation = {
        ...{ reservationId: 'r1', operationId: 'o1', model: 'chat', limits, limitsVersion: 0, holdMs: 60_000 },
        holder: { keyId: 'k', userId: 'u', organizationId: 'acme' },
        ...{ isCounted: true, promptBound: 10, maxCompletionTokens: 40, coveredTokens: 20 },
      };
      expect(await quota.reserve(asked)).toMatchObject({ kind: 'admitted' });
      expect(await quota.reserve({ ...asked, reservationId: 'r2' })).toMatchObject({ kind: 'admitted' });
      expect(await quota.reserve({ ...asked, reservationId: 'r3' })).toMatchObject({ kind: 'refused' });
      expect(await quota.extend('r1', report(5, 40, 8), 60_000)).toMatchObject({ kind: 'held', coveredTokens: 40 });
      expect((await quota.heldLeases(10, undefined)).leases).toHaveLength(2);
      expect((await quota.release('r2')).kind).toBe('done');
      expect((await quota.settle('r1', used(8, 30))).kind).toBe('done');
      expect(await quota.setSubjectLimits('key/k', '[]')).toBe(1);
      expect((await quota.subjectLimits()).version).toBe(1);
      await quota.sweep();
      const status = await quota.inspect(limits, asked);
      expect(status.map(({ remaining }) => remaining)).toEqual([2, 62, 2]);
      expect(await Array.fromAsync(quota.usage(0, 100_000, 'acme'))).toMatchObject([{ completionTokens: 30 }]);

      // Not by luck: the keys of other subjects lie there, too.
      const slots = new Set<unknown>();
      for (const port of servers.ports) {
        const node = new Redis(port, '127.0.0.1');
        for (const key of await node.keys('*')) slots.add(await node.call('CLUSTER', 'KEYSLOT', key));
        node.disconnect();
      }
      expect(slots.size).toBe(1);
    } finally {
      cluster.disconnect();
      await servers.close();
    }
  });
});
