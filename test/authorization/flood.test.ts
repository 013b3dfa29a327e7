import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { createKey } from '../../services/auth/api-key.ts';
import type { TestMesh } from '../harness/mesh.ts';
import { hasRedis } from '../harness/redis.ts';
import { startMeshOn } from './mesh-on-store.ts';
import { monitorRedis, type RedisMonitor } from './redis-monitor.ts';
import { unreadableCall } from './rpc-outcome.ts';
import { openWire, type RawRequest, type Wire } from './wire.ts';

const FLOOD = 10_000;
const AT_A_TIME = 32;

/** Failures that an address has, and the most that come back to it while a flood lasts for a minute. */
const MOST_LOOKUPS = 20 + 20;

describe.runIf(hasRedis())('10,000 wrong keys from one address', () => {
  let mesh: TestMesh;
  let monitor: RedisMonitor;
  let wire: Wire;

  beforeAll(async () => {
    mesh = await startMeshOn('Redis', { args: ['--model', 'none'] });
    if (!mesh.redisUrl) throw new Error('it has a Redis');
    monitor = await monitorRedis(mesh.redisUrl);
    wire = openWire(mesh.url);
  });
  afterAll(async () => {
    wire?.close();
    monitor?.stop();
    await mesh?.stop();
  });

  test('do not reach the store, over whatever they come, and are answered alike', async () => {
    const good = () => wire.http2({ method: 'GET', path: '/v1/models', headers: from(['x-api-key', mesh.adminKey]) });
    expect((await good()).status).toBe(200);
    const before = (await lookups()).length;
    const statuses = new Map<number, number>();
    const requests = Array.from({ length: FLOOD }, (_, i) => badRequest(i)).values();
    const startedAtMs = performance.now();
    const work = async (): Promise<void> => {
      for (const request of requests) {
        const { status } = await wire.http2(request);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, work));
    const minutes = (performance.now() - startedAtMs) / 60_000;
    // An unknown route is 404 whoever asks.
    expect(Object.fromEntries(statuses)).toEqual({ 401: FLOOD - FLOOD / 4, 404: FLOOD / 4 });
    expect((await lookups()).length - before).toBeLessThanOrEqual(MOST_LOOKUPS * Math.max(1, minutes));
    // A key that was good here before goes on from the same address.
    expect((await good()).status).toBe(200);
  });

  /** All that auth and quota ask of the store for somebody: quota also looks for leases that have ended, every second. */
  async function lookups(): Promise<string[]> {
    const fromOutside = (await monitor.commands()).filter((line) => !line.includes(' lua] '));
    return fromOutside.filter((line) => /mesh:(?:auth|quota:\{quota\}:(?!held"))/.test(line));
  }
});

function from(...headers: (readonly [string, string])[]): (readonly [string, string])[] {
  return [...headers, ['x-forwarded-for', '198.51.100.7']];
}

/** REST, an RPC, a route that there is not, and a body that is never read; each with a key of its own. */
function badRequest(index: number): RawRequest {
  const key: readonly [string, string] = ['authorization', `Bearer ${createKey().secret}`];
  const json: readonly [string, string] = ['content-type', 'application/json'];
  switch (index % 4) {
    case 0:
      return { method: 'GET', path: '/v1/models', headers: from(key) };
    case 1:
      return unreadableCall(AuthService.method.listApiKeys, from(key), '');
    case 2:
      return { method: 'GET', path: '/v1/nothing', headers: from(key) };
    default:
      return {
        method: 'POST',
        path: '/v1/chat/completions',
        headers: from(key, json),
        body: Buffer.from('{"model":"m"}'),
      };
  }
}
