import { Cluster, Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { hasRedis } from '../../../test/harness/redis.ts';
import { startRedisCluster } from '../../../test/harness/redis-cluster.ts';
import type { RedisStore } from '../../shared/store/redis.ts';
import { createRedisTaskStore } from './redis-task-store.ts';
import { because, done, LEASE_MS, TTL_MS } from './task-store.fixture.ts';

describe.skipIf(!hasRedis())('tasks on a Redis Cluster', () => {
  test('every script runs on the one node that has all keys', async () => {
    const servers = await startRedisCluster(3);
    const cluster = new Cluster(servers.ports.map((port) => ({ host: '127.0.0.1', port })));
    try {
      // All that the task store does with a connection a cluster's does, too.
      const store = { kind: 'redis', redis: cluster } as unknown as RedisStore;
      const tasks = createRedisTaskStore(store, { resultTtlMs: TTL_MS, maxAttempts: 3, ageingMs: 60_000 });
      for (const [i, owner] of ['ann', 'bob', 'eve'].entries()) {
        const place = { organization: `of ${owner}`, priority: i, cost: 10 + i };
        const named = { taskId: `task-${i}`, owner, idempotencyKey: `key ${i}`, fingerprint: 'f', endUser: '' };
        const submission = { ...place, ...named, work: Buffer.from('work') };
        expect(await tasks.submit(submission)).toMatchObject({ kind: 'accepted' });
        expect(await tasks.findByKey(owner, `key ${i}`, 'f')).toMatchObject({ kind: 'known' });
      }
      const [first, second] = await tasks.claim(2, LEASE_MS);
      if (!first || !second) throw new Error('nothing waits');
      expect([first, second]).toMatchObject([{ taskId: 'task-2' }, { taskId: 'task-1' }]);
      expect(await tasks.append(first, 0, 'fine')).toBe(true);
      expect(await tasks.renew([first, second], LEASE_MS)).toEqual([]);
      expect(await tasks.putBack(second, because({ delayMs: 60_000 }))).toBe(true);
      expect(await tasks.finish(first, done())).toBe(true);
      expect(await tasks.cancel('task-0', 'ann')).toMatchObject({ kind: 'cancelled' });
      expect((await tasks.list('eve', 9, undefined)).tasks).toMatchObject([{ taskId: 'task-2', outcome: done() }]);
      expect(await tasks.events('task-2', 2, 9, 1e6)).toMatchObject([{ kind: 'delta' }, { kind: 'ended' }]);
      await tasks.sweep();

      // Not by luck: the keys of other owners and tasks lie there, too.
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
