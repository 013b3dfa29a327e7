import { pino } from 'pino';
import { expect, test } from 'vitest';
import { tasksConfigSchema } from './config.ts';
import { createTasksContext, type TasksResources } from './context.ts';
import { openSqliteFile } from './store/sqlite-file.fixture.ts';
import { done } from './store/task-store.fixture.ts';
import { taskMessage } from './task-message.ts';

test('times of any configured length are told in whole milliseconds', async () => {
  const config = tasksConfigSchema.parse({ result_ttl_hours: 0.333_333_3, time_limit_seconds: 0.123_456_7 });
  const file = openSqliteFile();
  const resources = { store: file.store, log: pino({ level: 'silent' }), now: Date.now } as unknown as TasksResources;
  const context = createTasksContext(config, resources);
  try {
    expect(Number.isInteger(context.submissions.timeLimitMs)).toBe(true);
    const place = { owner: 'ann', organization: 'acme', priority: 0, cost: 1, idempotencyKey: '', fingerprint: '' };
    await context.store.submit({ ...place, taskId: 'a', work: new Uint8Array(), endUser: '' });
    const [claimed] = await context.store.claim(1, 1_000);
    await context.store.finish(claimed ?? expect.fail('none'), done());
    const task = (await context.store.find('a')) ?? expect.fail('none');
    expect(Number.isInteger(taskMessage(task).expiresAt?.nanos)).toBe(true);
  } finally {
    await context.close();
    file.remove();
  }
});
