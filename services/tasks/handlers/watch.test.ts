import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { createContextValues, type HandlerContext } from '@connectrpc/connect';
import { expect, onTestFinished, test } from 'vitest';
import { CredentialKind, PrincipalSchema } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { WatchRequestSchema } from '../../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { principalKey } from '../../shared/interceptors/principal.ts';
import { closeSqlite, openSqlite } from '../../shared/store/sqlite.ts';
import type { TasksContext } from '../context.ts';
import { ownerOf } from '../owner.ts';
import { createSqliteTaskStore } from '../store/sqlite-task-store.ts';
import type { TaskStore } from '../store/task-store.ts';
import { TaskWaiters } from '../task-waiters.ts';
import { watch } from './watch.ts';

const principal = create(PrincipalSchema, { kind: CredentialKind.API_KEY, keyId: 'k' });

// It ends when its state is asked for the second time: just after a look at its events.
test('a task that ends between two looks is told with its end', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-watch-'));
  const sqlite = openSqlite(join(directory, 'tasks.db'));
  const tasks = createSqliteTaskStore(sqlite, { resultTtlMs: 60_000, maxAttempts: 3, ageingMs: 60_000 });
  onTestFinished(() => {
    closeSqlite(sqlite);
    rmSync(directory, { recursive: true });
  });
  const place = { owner: ownerOf(principal), organization: 'o', priority: 0, cost: 1, idempotencyKey: '' };
  await tasks.submit({ ...place, taskId: 't', fingerprint: 'f', work: Buffer.from(''), endUser: '' });
  const [claim] = await tasks.claim(1, 60_000);
  if (!claim) throw new Error('nothing waits');
  let finds = 0;
  const store: TaskStore = {
    ...tasks,
    async find(taskId) {
      finds += 1;
      const usage = { promptTokens: 1, completionTokens: 1 };
      if (finds === 2) await tasks.finish(claim, { state: 'completed', result: '', usage });
      return await tasks.find(taskId);
    },
  };
  // News are lost: it looks by itself.
  const waiters = new TaskWaiters({ watch: () => () => {} });
  const context = { store, waiters, isClosed: () => false } as unknown as TasksContext;
  const values = createContextValues().set(principalKey, principal);
  const call = { values, signal: new AbortController().signal } as unknown as HandlerContext;
  const request = create(WatchRequestSchema, { taskId: 't', afterEventId: 2n });
  const told = await Array.fromAsync(watch(context)(request, call));
  expect(told.map(({ eventId }) => eventId)).toEqual([3n]);
});
