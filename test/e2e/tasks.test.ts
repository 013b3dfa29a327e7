import { type Client, createClient, type Interceptor } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { type Task, TaskState, TasksService, type WatchResponse } from '../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { fromConnectError } from '../../services/shared/errors/connect-error.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { readLedger } from '../harness/ledger.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';

/** A test of a whole mesh on a machine that may do other work, in milliseconds. */
const PATIENCE_MS = 60_000;

type Tasks = Client<typeof TasksService>;

describe.each(arrangements())('tasks, %s', { timeout: PATIENCE_MS }, (arrangement) => {
  let mesh: TestMesh;
  let engine: FakeEngine;
  let auth: Client<typeof AuthService>;

  beforeAll(async () => {
    engine = await startFakeEngine();
    const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
    const config = {
      inference: { models, devices: 'none' },
      quota: { tiers: { tiny: { requests_per_hour: 1 } } },
    };
    mesh = await startMesh(arrangement, { config });
    auth = createClient(AuthService, transportWith(mesh.adminKey));
    // A facade is ready without them.
    const tasks = createClient(TasksService, transportWith(mesh.adminKey));
    await eventually('tasks answer', () => tasks.list({}));
  }, 150_000);
  afterAll(async () => {
    await mesh?.stop();
    await engine?.stop();
  });

  function transportWith(key: string) {
    const interceptor: Interceptor = (next) => (call) => {
      call.header.set('authorization', `Bearer ${key}`);
      return next(call);
    };
    return createGrpcTransport({ baseUrl: mesh.url, interceptors: [interceptor] });
  }

  async function caller(tier = 'premium'): Promise<{ tasks: Tasks; keyId: string }> {
    const { apiKey, secret } = await auth.createApiKey({ tier });
    return { tasks: createClient(TasksService, transportWith(secret)), keyId: apiKey?.keyId ?? '' };
  }

  const asking = (maxTokens = 5, model = 'fake') => ({
    request: { model, prompt: { input: { case: 'text' as const, value: 'hi' } }, sampling: { maxTokens } },
  });

  const submitted = async (tasks: Tasks, maxTokens = 5): Promise<string> =>
    (await tasks.submit(asking(maxTokens))).task?.taskId ?? expect.fail('no task');

  async function ended(tasks: Tasks, taskId: string): Promise<Task> {
    return await eventually('the task has ended', async () => {
      const { task } = await tasks.get({ taskId });
      return task?.state === TaskState.COMPLETED || task?.state === TaskState.FAILED ? task : undefined;
    });
  }

  async function eventsOf(tasks: Tasks, taskId: string, afterEventId = 0n): Promise<WatchResponse[]> {
    const events: WatchResponse[] = [];
    for await (const event of tasks.watch({ taskId, afterEventId })) events.push(event);
    return events;
  }

  const reasonOf = (call: Promise<unknown>): Promise<string> =>
    call.then(
      () => 'OK',
      (error: unknown) => fromConnectError(error).reason,
    );

  /** One request, and so many tokens, and nothing is held any more. */
  async function charged(keyId: string, completionTokens: number): Promise<void> {
    const bill = async () => {
      const { requests, completionTokens, held } = await readLedger(mesh, keyId);
      return { requests, completionTokens, held };
    };
    await expect.poll(bill, { timeout: 15_000 }).toEqual({ requests: 1, completionTokens, held: 0 });
  }

  const textOf = (events: readonly WatchResponse[]): string =>
    events.map(({ event }) => (event.case === 'delta' ? event.value : '')).join('');

  test('a task runs, tells its events to whoever watches, and is charged once', async () => {
    await engine.script({});
    const { tasks, keyId } = await caller();
    const { task, limits } = await tasks.submit(asking(5));
    const taskId = task?.taskId ?? '';
    expect(task).toMatchObject({ state: TaskState.QUEUED, position: 1 });
    expect(limits.length).toBeGreaterThan(0);
    const events = await eventsOf(tasks, taskId);
    expect(events.map(({ eventId }) => eventId)).toEqual(events.map((_, i) => BigInt(i + 1)));
    const last = await ended(tasks, taskId);
    expect(last).toMatchObject({ state: TaskState.COMPLETED, attempt: 1, usage: { completionTokens: 5 } });
    expect(textOf(events)).toBe(last.result);
    expect(last.result).not.toBe('');
    expect(events.at(-1)?.event).toMatchObject({ case: 'task', value: { result: last.result } });
    const middle = BigInt(Math.floor(events.length / 2));
    expect(await eventsOf(tasks, taskId, middle)).toEqual(events.slice(Number(middle)));
    expect(await eventsOf(tasks, taskId, BigInt(events.length))).toEqual([]);
    await charged(keyId, 5);
  });

  test('events come while it runs', async () => {
    await engine.script({ holdAtToken: 2 });
    const { tasks } = await caller();
    const taskId = await submitted(tasks, 4);
    await hasText(tasks, taskId, ' t0 t1');
    expect((await tasks.get({ taskId })).task?.state).toBe(TaskState.PROCESSING);
    await engine.go();
    expect((await ended(tasks, taskId)).result).toBe(' t0 t1 t2 t3');
  });

  test('a repetition with its idempotency key is the same task and counts nothing', async () => {
    await engine.script({});
    const { tasks, keyId } = await caller();
    const key = { idempotencyKey: 'once' };
    const answers = await Promise.all(Array.from({ length: 8 }, () => tasks.submit({ ...asking(3), ...key })));
    const ids = new Set(answers.map(({ task }) => task?.taskId));
    expect(ids.size).toBe(1);
    const [taskId = ''] = ids;
    await ended(tasks, taskId);
    expect((await tasks.submit({ ...asking(3), ...key })).task).toMatchObject({ taskId, state: TaskState.COMPLETED });
    expect(await reasonOf(tasks.submit({ ...asking(4), ...key }))).toBe('ALREADY_EXISTS');
    await charged(keyId, 3);
  });

  test('to others a task does not exist', async () => {
    await engine.script({});
    const { tasks } = await caller();
    const { tasks: others } = await caller();
    const taskId = await submitted(tasks);
    expect(await reasonOf(others.get({ taskId }))).toBe('NOT_FOUND');
    expect(await reasonOf(others.cancel({ taskId }))).toBe('NOT_FOUND');
    expect(await reasonOf(eventsOf(others, taskId))).toBe('NOT_FOUND');
    expect((await others.list({})).tasks).toEqual([]);
    expect(await reasonOf(tasks.get({ taskId: 'nothing' }))).toBe('NOT_FOUND');
    await ended(tasks, taskId);
    expect((await tasks.list({})).tasks.map((task) => task.taskId)).toEqual([taskId]);
  });

  test('cancelling takes a running task off its engine, and charges what it made', async () => {
    await engine.script({ holdAtToken: 2 });
    const { tasks, keyId } = await caller();
    const taskId = await submitted(tasks, 8);
    await hasText(tasks, taskId, ' t0 t1');
    const { aborted } = await engine.counts();
    const { task } = await tasks.cancel({ taskId });
    expect(task).toMatchObject({ state: TaskState.FAILED, failure: { type: 'Cancelled' } });
    await eventually('the engine is free', async () => (await engine.counts()).aborted > aborted);
    expect(await reasonOf(tasks.cancel({ taskId }))).toBe('CONFLICT');
    await charged(keyId, 2);
  });

  /** Watches until so much of the text has come. */
  async function hasText(tasks: Tasks, taskId: string, wanted: string): Promise<void> {
    const watching = new AbortController();
    let text = '';
    for await (const { event } of tasks.watch({ taskId }, { signal: watching.signal })) {
      if (event.case === 'delta') text += event.value;
      if (text === wanted) break;
    }
    watching.abort();
  }

  test('what is refused at submission consumes nothing', async () => {
    await engine.script({});
    const { tasks, keyId } = await caller('tiny');
    expect(await reasonOf(tasks.submit(asking(3, 'no-such-model')))).toBe('MODEL_NOT_FOUND');
    expect(await reasonOf(tasks.submit({ request: { ...asking().request, sampling: { choices: 2 } } }))).toBe(
      'UNSUPPORTED_FIELD',
    );
    const taskId = await submitted(tasks, 3);
    expect(await reasonOf(tasks.submit(asking(3)))).toBe('RATE_LIMIT_EXCEEDED');
    // It runs although the limit on requests is reached: it was counted before.
    expect(await ended(tasks, taskId)).toMatchObject({ state: TaskState.COMPLETED });
    expect((await tasks.list({})).tasks).toHaveLength(1);
    await charged(keyId, 3);
  });

  test('a task ends with its submitter’s key', async () => {
    await engine.script({ holdAtToken: 1 });
    const { tasks, keyId } = await caller();
    const running = await submitted(tasks);
    await eventually(
      'it runs',
      async () => (await tasks.get({ taskId: running })).task?.state === TaskState.PROCESSING,
    );
    await auth.revokeApiKey({ keyId, cutRunningStreams: true });
    expect(await reasonOf(tasks.get({ taskId: running }))).toBe('CREDENTIAL_INVALID');
    await eventually('the engine is free', async () => (await engine.counts()).running === 0);
  });

  test('a time limit ends a run', async () => {
    await engine.script({ holdAtToken: 2 });
    const { tasks } = await caller();
    const { task } = await tasks.submit({ ...asking(), timeLimit: { seconds: 0n, nanos: 300_000_000 } });
    expect(await ended(tasks, task?.taskId ?? '')).toMatchObject({
      ...{ state: TaskState.FAILED },
      failure: { type: 'TaskTimeLimitExceeded' },
    });
    await engine.go();
  });
});
