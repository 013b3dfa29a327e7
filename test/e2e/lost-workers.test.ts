import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TASK_KEYS } from '../../services/tasks/store/redis-scripts.ts';
import { readLedger } from '../harness/ledger.ts';
import { eventually } from '../harness/processes.ts';
import { hasRedis } from '../harness/redis.ts';
import { expectWhole, newTaskCaller, type StreamedEvent, type TaskCaller, textOf } from '../harness/task-caller.ts';
import { startTaskMesh, type TaskMesh } from '../harness/task-mesh.ts';

const TEST_TIMEOUT_MS = 180_000;
/** Settling what a killed router held takes a lease of it. */
const SETTLE_TIMEOUT_MS = 40_000;

const SECTIONS = { tasks: { lease_seconds: 2, max_attempts: 10 }, router: { lease_seconds: 5 } };

const tokens = (count: number): string => Array.from({ length: count }, (_, i) => ` t${i}`).join('');
const hasText = (wanted: string) => (events: readonly StreamedEvent[]) => textOf(events) === wanted;

/** So many requests, nothing held; returns the completion tokens that were charged. */
async function settled(mesh: TaskMesh, { keyId }: TaskCaller, requests: number): Promise<number> {
  const bill = async () => {
    const { requests, held } = await readLedger(mesh, keyId);
    return { requests, held };
  };
  await expect.poll(bill, { timeout: SETTLE_TIMEOUT_MS }).toEqual({ requests, held: 0 });
  return (await readLedger(mesh, keyId)).completionTokens;
}

/** The task has this text as its result, and its stream is whole. Returns the stream. */
async function completed(caller: TaskCaller, taskId: string, text: string): Promise<StreamedEvent[]> {
  expect(await caller.result(taskId)).toMatchObject({ status: 'completed', result: text });
  const events = await caller.follow(taskId);
  expectWhole(events);
  expect(textOf(events)).toBe(text);
  return events;
}

describe.runIf(hasRedis())('tasks over processes that are lost', { timeout: TEST_TIMEOUT_MS }, () => {
  let mesh: TaskMesh;
  beforeAll(async () => {
    mesh = await startTaskMesh('spread', SECTIONS);
  }, TEST_TIMEOUT_MS);
  afterAll(() => mesh?.stop());

  /** What the store has of a task. */
  async function stored(taskId: string): Promise<Record<string, string>> {
    const redis = new Redis(mesh.redisUrl ?? '');
    try {
      return await redis.hgetall(`${TASK_KEYS}task:${taskId}`);
    } finally {
      redis.disconnect();
    }
  }

  test('a worker that is killed in the midst of a run: another runs it, each run is charged once', async () => {
    await mesh.engine.script({ holdAtToken: 3 });
    const caller = await newTaskCaller(mesh);
    const taskId = await caller.submit(6);
    await caller.follow(taskId, 0, undefined, hasText(tokens(3)));
    await mesh.end('worker', 'SIGKILL');
    await eventually('the engine is free', async () => (await mesh.engine.counts()).running === 0);
    await mesh.engine.script({});
    await mesh.start('worker');
    const events = await completed(caller, taskId, tokens(6));
    expect(events.filter(({ body }) => body.status === 'processing' && body.delta === undefined)).toHaveLength(2);
    expect(await stored(taskId)).toMatchObject({ attempt: '2', consumed: '1' });
    expect(await settled(mesh, caller, 1)).toBe(3 + 6);
  });

  test('a worker that is asked to end puts its tasks back and uses up no attempt', async () => {
    await mesh.engine.script({ holdAtToken: 2 });
    const caller = await newTaskCaller(mesh);
    const taskId = await caller.submit(5);
    await caller.follow(taskId, 0, undefined, hasText(tokens(2)));
    await mesh.end('worker', 'SIGTERM');
    expect(await stored(taskId)).toMatchObject({ state: 'q', attempt: '1', consumed: '0' });
    await mesh.engine.script({});
    await mesh.start('worker');
    await completed(caller, taskId, tokens(5));
    expect(await stored(taskId)).toMatchObject({ attempt: '2', consumed: '0' });
    expect(await settled(mesh, caller, 1)).toBe(2 + 5);
  });

  test('a facade that is killed: its reader gets from another, and from it when it is back, exactly what it missed', async () => {
    await mesh.engine.script({ holdAtToken: 8, everyMs: 5 });
    const caller = await newTaskCaller(mesh);
    const taskId = await caller.submit(12);
    let has = 0;
    const reading = caller.follow(taskId, 0, 'facade-a', (events) => {
      has = events.length;
      return false;
    });
    await eventually('it reads', () => has >= 4);
    await mesh.end('facade-a', 'SIGKILL');
    const first = await reading;
    const afterFirst = first.at(-1)?.id ?? 0;
    const second = caller.follow(taskId, afterFirst, 'facade-b');
    await mesh.engine.go();
    const rest = await second;
    expectWhole(rest, afterFirst);
    await mesh.start('facade-a');
    const whole = await completed(caller, taskId, tokens(12));
    expect([...first, ...rest]).toEqual(whole);
    for (const after of [1, 3, whole.length - 1]) {
      expect(await caller.follow(taskId, after, 'facade-a')).toEqual(whole.slice(after));
    }
    expect(await caller.follow(taskId, whole.length, 'facade-a')).toEqual([]);
    expect(await settled(mesh, caller, 1)).toBe(12);
  });

  test('connections to the store that break at any point lose no task and no text, and double none', async () => {
    await mesh.engine.script({ everyMs: 60 });
    const caller = await newTaskCaller(mesh, 'unlimited');
    const { proxy } = mesh;
    if (!proxy) throw new Error('no proxy');
    const before = await mesh.engine.counts();
    let isOver = false;
    const breaking = (async () => {
      for (let i = 0; !isOver; i += 1) {
        await delay(20 + Math.random() * 250);
        if (i % 3 === 0) proxy.reset();
        else proxy.dropNextReply();
      }
    })();
    const ids = await Promise.all(Array.from({ length: 12 }, (_, i) => caller.submit(10, `key-${i}`)));
    expect(new Set(ids).size).toBe(12);
    for (const taskId of ids) await caller.result(taskId);
    isOver = true;
    await breaking;
    expect(proxy.droppedReplies()).toBeGreaterThan(0);
    for (const taskId of ids) await completed(caller, taskId, tokens(10));
    const charged = await settled(mesh, caller, 12);
    // A run whose worker lost it is cut, and charged by what it made.
    const { served, aborted } = await mesh.engine.counts();
    expect(charged).toBeGreaterThanOrEqual(10 * (served - before.served));
    expect(charged).toBeLessThanOrEqual(10 * (served - before.served + aborted - before.aborted));
  });

  test('a store that is killed in the midst of a run goes on where it was', async () => {
    await mesh.engine.script({ holdAtToken: 3 });
    const caller = await newTaskCaller(mesh);
    const done = await caller.submit(2);
    const before = await completed(caller, done, tokens(2));
    const running = await caller.submit(6);
    await caller.follow(running, 0, undefined, hasText(tokens(3)));
    await mesh.killRedis();
    await mesh.engine.go();
    await mesh.startRedis();
    await completed(caller, running, tokens(6));
    expect(await caller.follow(done)).toEqual(before);
    const attempts = Number((await stored(running)).attempt);
    const charged = await settled(mesh, caller, 2);
    expect(charged).toBeGreaterThanOrEqual(2 + 6);
    expect(charged).toBeLessThanOrEqual(2 + 6 * attempts);
  });
});

describe('tasks in one process that is killed', { timeout: TEST_TIMEOUT_MS }, () => {
  let mesh: TaskMesh;
  beforeAll(async () => {
    mesh = await startTaskMesh('one process', { ...SECTIONS, tasks: { ...SECTIONS.tasks, concurrency: 2 } });
  }, TEST_TIMEOUT_MS);
  afterAll(() => mesh?.stop());

  test('it goes on with all that it had accepted, and its readers with what they had', async () => {
    await mesh.engine.script({ holdAtToken: 3 });
    const caller = await newTaskCaller(mesh);
    const ended = await caller.submit(2);
    const before = await completed(caller, ended, tokens(2));
    const running = await caller.submit(6, 'running');
    let text = '';
    const reading = caller.follow(running, 0, undefined, (events) => {
      text = textOf(events);
      return false;
    });
    await eventually('it reads', () => text === tokens(3));
    // Two run, the others wait.
    const waiting = await Promise.all(Array.from({ length: 4 }, (_, i) => caller.submit(6, `waiting-${i}`)));
    await mesh.end('all', 'SIGKILL');
    const first = await reading;
    await mesh.engine.script({});
    await mesh.start('all');
    const afterFirst = first.at(-1)?.id ?? 0;
    const rest = await caller.follow(running, afterFirst);
    expectWhole(rest, afterFirst);
    expect([...first, ...rest]).toEqual(await completed(caller, running, tokens(6)));
    for (const taskId of waiting) await completed(caller, taskId, tokens(6));
    expect(await caller.follow(ended)).toEqual(before);
    expect(await caller.submit(6, 'running')).toBe(running);
    const charged = await settled(mesh, caller, 6);
    // What the killed one held is settled between its last report and what the engine made, for the two that ran.
    expect(charged).toBeGreaterThanOrEqual(2 + 5 * 6);
    expect(charged).toBeLessThanOrEqual(2 + 5 * 6 + 2 * 3);
  });
});
