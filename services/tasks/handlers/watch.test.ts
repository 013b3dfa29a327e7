import { create } from '@bufbuild/protobuf';
import { createContextValues, type HandlerContext } from '@connectrpc/connect';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CredentialKind, PrincipalSchema } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import {
  type WatchRequest,
  WatchRequestSchema,
  type WatchResponse,
} from '../../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { principalKey } from '../../shared/interceptors/principal.ts';
import type { TasksContext } from '../context.ts';
import { openSqliteFile, type SqliteFile } from '../store/sqlite-file.fixture.ts';
import { createSqliteTaskStore } from '../store/sqlite-task-store.ts';
import { done, LEASE_MS } from '../store/task-store.fixture.ts';
import type { ClaimedTask, TaskStore } from '../store/task-store.ts';
import { TaskWaiters } from '../task-waiters.ts';
import { watch } from './watch.ts';

let file: SqliteFile;
let store: TaskStore;
let claimed: ClaimedTask;
beforeEach(async () => {
  file = openSqliteFile();
  store = createSqliteTaskStore(file.store, { resultTtlMs: 3_600_000, maxAttempts: 3, ageingMs: 60_000 });
  const place = { owner: 'key:ann', organization: 'acme', priority: 0, cost: 10, idempotencyKey: '', fingerprint: '' };
  await store.submit({ ...place, taskId: 'a', work: new Uint8Array(), endUser: '' });
  [claimed] = (await store.claim(1, LEASE_MS)) as [ClaimedTask];
});
afterEach(() => file.remove());

/** What a watch of the store tells. */
async function told(
  given: TaskStore,
  afterEventId: bigint,
  waiters: Pick<TaskWaiters, 'next' | 'close'> = new TaskWaiters(given),
): Promise<WatchResponse[]> {
  const context = { store: given, waiters, isClosed: () => false } as unknown as TasksContext;
  const values = createContextValues();
  values.set(principalKey, create(PrincipalSchema, { kind: CredentialKind.API_KEY, keyId: 'ann' }));
  const call = { values, signal: new AbortController().signal } as unknown as HandlerContext;
  const request = create(WatchRequestSchema, { taskId: 'a', afterEventId }) as WatchRequest;
  const seen: WatchResponse[] = [];
  for await (const event of watch(context)(request, call)) seen.push(event as WatchResponse);
  waiters.close();
  return seen;
}

test('a task that ends between the looks of a watch is told to its end', async () => {
  let hasLooked = false;
  const racing: TaskStore = {
    ...store,
    async events(...asked) {
      const events = await store.events(...asked);
      hasLooked ||= events?.length === 0;
      return events;
    },
    async find(taskId) {
      // No event was found, and now it ends.
      if (hasLooked) await store.finish(claimed, done());
      return await store.find(taskId);
    },
  };
  const [last, ...others] = (await told(racing, 2n)).toReversed();
  expect(last).toMatchObject({ eventId: 3n, event: { case: 'task', value: { result: 'fine' } } });
  expect(others).toEqual([]);
});

test('who has the last event is told at once that there is no more, who claims more too', async () => {
  await store.finish(claimed, done());
  const noNews = { next: () => ({ news: new Promise<void>(() => {}), leave: () => {} }), close: () => {} };
  for (const after of [3n, 4n, 2n ** 64n - 1n]) expect(await told(store, after, noNews)).toEqual([]);
});

test('a watch that waits looks once a second, and once only', async () => {
  let looks = 0;
  let finds = 0;
  const counting: TaskStore = {
    ...store,
    events: (...asked) => {
      looks += 1;
      if (looks === 4) void store.finish(claimed, done());
      return store.events(...asked);
    },
    find: (taskId) => {
      finds += 1;
      return store.find(taskId);
    },
  };
  expect(await told(counting, 0n)).toHaveLength(3);
  // Whose it is, where it stands in the queue, what came of it.
  expect(finds).toBe(3);
});
