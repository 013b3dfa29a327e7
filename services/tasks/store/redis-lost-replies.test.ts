import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type FaultProxy, startFaultProxy } from '../../../test/harness/fault-proxy.ts';
import { eventually } from '../../../test/harness/processes.ts';
import { hasRedis, startRedis } from '../../../test/harness/redis.ts';
import { closeStore, openStore, type Store } from '../../shared/store/store.ts';
import { createRedisTaskStore } from './redis-task-store.ts';
import { because, done, LEASE_MS, TTL_MS } from './task-store.fixture.ts';
import type { ClaimedTask, Submission, TaskStore } from './task-store.ts';

describe.skipIf(!hasRedis())('a reply of the task store that is lost', () => {
  let redis: Awaited<ReturnType<typeof startRedis>>;
  let proxy: FaultProxy;
  let store: Store;
  let tasks: TaskStore;
  let nowMs = 1_000_000;

  beforeAll(async () => {
    redis = await startRedis();
    proxy = await startFaultProxy(Number(new URL(redis.url).port));
    const redisUrl = `redis://127.0.0.1:${proxy.port}`;
    store = await openStore({ redisUrl, sqlitePath: '', log: pino({ level: 'silent' }), commandTimeoutMs: 10_000 });
    if (store.kind !== 'redis') throw new Error('expected Redis');
    tasks = createRedisTaskStore(store, { resultTtlMs: TTL_MS, maxAttempts: 2, ageingMs: 60_000, now: () => nowMs });
    // The server learns every script: what is lost then is the answer to it and not to its loading.
    await tasks.submit(submission('known'));
    const claimed = await next();
    await tasks.append(claimed, 0, 'x');
    await tasks.putBack(claimed, because({ consumed: false }));
    await tasks.cancel('known', 'acme/ann');
    await tasks.finish(claimed, done());
    await tasks.renew([claimed], LEASE_MS);
    await tasks.sweep();
  });
  beforeEach(async () => {
    if (store.kind === 'redis') await store.redis.flushdb();
  });
  afterAll(async () => {
    await closeStore(store);
    await proxy.close();
    await redis.server.stop('SIGKILL');
  });

  const submission = (taskId: string, idempotencyKey = ''): Submission => ({
    ...{ taskId, owner: 'acme/ann', organization: 'acme', priority: 0, cost: 10, idempotencyKey, fingerprint: 'f' },
    ...{ work: Buffer.from('work'), endUser: '' },
  });

  async function next(): Promise<ClaimedTask> {
    const [claimed] = await tasks.claim(1, LEASE_MS);
    return claimed ?? expect.fail('nothing waits');
  }

  /** Makes a call whose reply is lost, then the same again as its caller does; returns the second answer. */
  async function repeated<T>(call: () => Promise<T>): Promise<T> {
    const before = proxy.droppedReplies();
    proxy.dropNextReply();
    await expect(call()).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE' });
    expect(proxy.droppedReplies()).toBe(before + 1);
    return await eventually('the store answers again', call);
  }

  const kindsOf = async (taskId: string): Promise<string[]> =>
    ((await tasks.events(taskId, 0, 1_000, 1e6)) ?? []).map((event) =>
      event.kind === 'delta' ? event.text : event.kind,
    );

  test.each(['', 'key'])('a submission that is repeated is one task, with the idempotency key "%s"', async (key) => {
    expect(await repeated(() => tasks.submit(submission('a', key)))).toMatchObject({
      ...{ kind: 'known', task: { taskId: 'a', position: 1 } },
    });
    // The next process would give it another id.
    if (key !== '') expect(await tasks.submit(submission('b', key))).toMatchObject({ task: { taskId: 'a' } });
    expect(await tasks.claim(9, LEASE_MS)).toHaveLength(1);
    expect(await kindsOf('a')).toEqual(['queued', 'processing']);
  });

  test('what a worker writes and repeats is there once', async () => {
    await tasks.submit(submission('a'));
    const claimed = await next();
    expect(await repeated(() => tasks.append(claimed, 0, 'one'))).toBe(true);
    expect(await repeated(() => tasks.append(claimed, 1, 'two'))).toBe(true);
    expect(await repeated(() => tasks.renew([claimed], LEASE_MS))).toEqual([]);
    expect(await repeated(() => tasks.finish(claimed, done('onetwo')))).toBe(true);
    expect(await kindsOf('a')).toEqual(['queued', 'processing', 'one', 'two', 'ended']);
    expect((await tasks.find('a'))?.outcome).toEqual(done('onetwo'));
  });

  test('putting back uses up one attempt, also the last one', async () => {
    await tasks.submit(submission('a'));
    const first = await next();
    expect(await repeated(() => tasks.putBack(first, because()))).toBe(true);
    expect(await tasks.find('a')).toMatchObject({ state: 'queued', attempt: 1 });
    const second = await next();
    expect(await repeated(() => tasks.putBack(second, because()))).toBe(true);
    expect(await tasks.find('a')).toMatchObject({ state: 'failed', outcome: { failure: { type: 'EngineLost' } } });
    expect(await kindsOf('a')).toEqual(['queued', 'processing', 'queued', 'processing', 'ended']);
  });

  test('cancelling ends a task once', async () => {
    await tasks.submit(submission('a'));
    expect(await repeated(() => tasks.cancel('a', 'acme/ann'))).toMatchObject({ kind: 'ended' });
    expect(await kindsOf('a')).toEqual(['queued', 'ended']);
  });

  test('what was given to a worker that did not hear of it goes to the next when the lease is over', async () => {
    await tasks.submit(submission('a'));
    expect(await repeated(() => tasks.claim(1, LEASE_MS))).toEqual([]);
    expect(await tasks.find('a')).toMatchObject({ state: 'processing', attempt: 1 });
    nowMs += LEASE_MS;
    await repeated(() => tasks.sweep().then(() => true));
    expect(await next()).toMatchObject({ taskId: 'a', attempt: 2 });
    expect(await kindsOf('a')).toEqual(['queued', 'processing', 'queued', 'processing']);
  });
});
