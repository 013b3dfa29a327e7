import { expect, test } from 'vitest';
import type { Task } from '../task.ts';
import type { TaskNews } from '../task-listeners.ts';
import { AGEING_MS, because, describeTaskStores, done, LEASE_MS, TTL_MS } from './task-store.fixture.ts';

describeTaskStores('tasks', (on) => {
  test('a task goes from submission to its result', async () => {
    const task = await on.submit({ endUser: 'ann' });
    const submittedAtMs = on.nowMs;
    expect(task).toMatchObject({ state: 'queued', position: 1, attempt: 0, endUser: 'ann', submittedAtMs });
    on.nowMs += 500;
    const claimed = await on.next();
    expect(claimed).toMatchObject({ taskId: task.taskId, attempt: 1 });
    expect(Buffer.from(claimed.work).toString()).toMatch(/^work \d+$/);
    expect(await on.tasks.find(task.taskId)).toMatchObject({ state: 'processing', position: 0, startedAtMs: on.nowMs });
    expect(await on.tasks.append(claimed, 0, 'fi')).toBe(true);
    expect(await on.tasks.append(claimed, 1, 'ne')).toBe(true);
    on.nowMs += 500;
    expect(await on.tasks.finish(claimed, done())).toBe(true);
    expect(await on.tasks.find(task.taskId)).toEqual({
      ...{ taskId: task.taskId, owner: 'acme/ann', state: 'completed', position: 0, attempt: 1, endUser: 'ann' },
      ...{ submittedAtMs, startedAtMs: submittedAtMs + 500, endedAtMs: on.nowMs, expiresAtMs: on.nowMs + TTL_MS },
      outcome: done(),
    });
    expect(await on.eventsOf(task.taskId)).toEqual([
      { eventId: 1, kind: 'queued' },
      { eventId: 2, kind: 'processing', attempt: 1 },
      { eventId: 3, kind: 'delta', text: 'fi' },
      { eventId: 4, kind: 'delta', text: 'ne' },
      { eventId: 5, kind: 'ended' },
    ]);
  });

  test('texts of any kind come back as they were', async () => {
    const texts = ['', '\u0000\n"\\', '😀 日本', 'x'.repeat(300_000)];
    const { taskId } = await on.submit({ work: Uint8Array.from({ length: 256 }, (_, i) => i) });
    const claimed = await on.next();
    expect([...claimed.work]).toEqual(Array.from({ length: 256 }, (_, i) => i));
    for (const [i, text] of texts.entries()) await on.tasks.append(claimed, i, text);
    await on.tasks.finish(claimed, done(texts.join('')));
    const deltas = (await on.eventsOf(taskId)).flatMap((event) => (event.kind === 'delta' ? [event.text] : []));
    expect(deltas).toEqual(texts);
    expect((await on.tasks.find(taskId))?.outcome).toEqual(done(texts.join('')));
  });

  test('a failure keeps its reason, with usage or without', async () => {
    for (const usage of [undefined, { promptTokens: 4, completionTokens: 0 }]) {
      const { taskId } = await on.submit();
      const outcome = { state: 'failed' as const, failure: { type: 'EngineLost', message: 'gone' }, usage };
      await on.tasks.finish(await on.next(), outcome);
      expect((await on.tasks.find(taskId))?.outcome).toEqual(outcome);
    }
  });

  test('an idempotency key is its owner’s, and stands for one request', async () => {
    const first = await on.submit({ idempotencyKey: 'k', fingerprint: 'a' });
    const again = on.submission({ idempotencyKey: 'k', fingerprint: 'a' });
    expect(await on.tasks.findByKey('acme/ann', 'k', 'a')).toMatchObject({ kind: 'known', task: first });
    expect(await on.tasks.submit(again)).toMatchObject({ kind: 'known', task: { taskId: first.taskId } });
    const other = { ...again, fingerprint: 'b' };
    expect(await on.tasks.submit(other)).toEqual({ kind: 'conflict' });
    expect(await on.tasks.findByKey('acme/ann', 'k', 'b')).toEqual({ kind: 'conflict' });
    expect(await on.tasks.submit({ ...other, owner: 'acme/bob' })).toMatchObject({ kind: 'accepted' });
    expect(await on.tasks.findByKey('acme/ann', '', 'a')).toBeUndefined();
    expect(await on.tasks.findByKey('acme/ann', 'other', 'a')).toBeUndefined();
    expect(await on.drain()).toHaveLength(2);
  });

  test('the same key submitted by many at once makes one task', async () => {
    const racing = Array.from({ length: 20 }, () => on.tasks.submit(on.submission({ idempotencyKey: 'k' })));
    const kinds = (await Promise.all(racing)).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'accepted')).toHaveLength(1);
    expect(await on.drain()).toHaveLength(1);
  });

  test('a submission whose reply was lost is known by its id', async () => {
    const submission = on.submission();
    await on.tasks.submit(submission);
    expect(await on.tasks.submit(submission)).toMatchObject({ kind: 'known', task: { position: 1 } });
    expect(await on.drain()).toHaveLength(1);
  });

  test('each task is given to one worker', async () => {
    for (let i = 0; i < 30; i += 1) await on.submit();
    const workers = [on.tasks, on.stores.kind === 'redis' ? await on.another() : on.tasks];
    const claims = await Promise.all(Array.from({ length: 20 }, (_, i) => workers[i % 2]?.claim(2, LEASE_MS) ?? []));
    const ids = claims.flat().map(({ taskId }) => taskId);
    expect(ids).toHaveLength(30);
    expect(new Set(ids).size).toBe(30);
  });

  test('who lost its lease may write nothing after another took over', async () => {
    const { taskId } = await on.submit();
    const late = await on.next();
    await on.tasks.append(late, 0, 'late');
    on.nowMs += LEASE_MS + 1;
    await on.tasks.sweep();
    const later = await on.next();
    expect(later).toMatchObject({ taskId, attempt: 2 });
    expect(await on.tasks.append(late, 1, 'x')).toBe(false);
    expect(await on.tasks.renew([late, later], LEASE_MS)).toMatchObject([{ taskId, attempt: 1 }]);
    expect(await on.tasks.putBack(late, because())).toBe(false);
    expect(await on.tasks.finish(late, done('late'))).toBe(false);
    expect(await on.tasks.append(later, 0, 'fine')).toBe(true);
    expect(await on.tasks.finish(later, done())).toBe(true);
    expect(await on.tasks.finish(late, done('late'))).toBe(false);
    expect((await on.tasks.find(taskId))?.outcome).toEqual(done());
    expect((await on.eventsOf(taskId)).filter(({ kind }) => kind === 'ended')).toHaveLength(1);
  });

  test('a lease that is renewed is not lost', async () => {
    await on.submit();
    const claimed = await on.next();
    on.nowMs += LEASE_MS - 1;
    expect(await on.tasks.renew([claimed], LEASE_MS)).toEqual([]);
    on.nowMs += LEASE_MS - 1;
    await on.tasks.sweep();
    expect(await on.tasks.append(claimed, 0, 'x')).toBe(true);
  });

  test('what is repeated changes nothing', async () => {
    const { taskId } = await on.submit();
    const claimed = await on.next();
    for (const text of ['a', 'again']) expect(await on.tasks.append(claimed, 0, text)).toBe(true);
    expect(await on.tasks.append(claimed, 1, 'b')).toBe(true);
    for (let i = 0; i < 2; i += 1) expect(await on.tasks.putBack(claimed, because())).toBe(true);
    const next = await on.next();
    expect(await on.tasks.putBack(claimed, because())).toBe(false);
    for (const result of ['ab', 'again']) expect(await on.tasks.finish(next, done(result))).toBe(true);
    const kinds = (await on.eventsOf(taskId)).map((event) => (event.kind === 'delta' ? event.text : event.kind));
    expect(kinds).toEqual(['queued', 'processing', 'a', 'b', 'queued', 'processing', 'ended']);
    expect((await on.tasks.find(taskId))?.outcome).toEqual(done('ab'));
  });

  test('a task that lost every worker fails', async () => {
    const { taskId } = await on.submit();
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      expect((await on.next()).attempt).toBe(attempt);
      on.nowMs += LEASE_MS + 1;
      await on.tasks.sweep();
    }
    expect(await on.tasks.find(taskId)).toMatchObject({
      ...{ state: 'failed', attempt: 3 },
      outcome: { state: 'failed', failure: { type: 'WorkerLost' } },
    });
    expect(await on.drain()).toEqual([]);
  });

  test('only consumed attempts count, and the last one fails with its reason', async () => {
    const { taskId } = await on.submit();
    for (let i = 0; i < 5; i += 1) await on.tasks.putBack(await on.next(), because({ consumed: false }));
    for (let i = 0; i < 2; i += 1) await on.tasks.putBack(await on.next(), because());
    expect(await on.tasks.find(taskId)).toMatchObject({ state: 'queued', attempt: 7 });
    const last = await on.next();
    for (let i = 0; i < 2; i += 1) expect(await on.tasks.putBack(last, because())).toBe(true);
    expect(await on.tasks.find(taskId)).toMatchObject({
      outcome: { state: 'failed', failure: { type: 'EngineLost', message: 'The engine was lost.' } },
    });
  });

  test('what is put back for later keeps its place and waits', async () => {
    const first = await on.submit();
    const second = await on.submit();
    await on.tasks.putBack(await on.next(), because({ delayMs: 5_000, consumed: false }));
    expect(await on.tasks.find(first.taskId)).toMatchObject({ state: 'queued', position: 1 });
    expect((await on.next()).taskId).toBe(second.taskId);
    expect(await on.tasks.claim(1, LEASE_MS)).toEqual([]);
    const third = await on.submit();
    on.nowMs += 5_000;
    expect(await on.drain()).toEqual([first.taskId, third.taskId]);
  });

  test('a flood of one organisation delays another by one task', async () => {
    for (let i = 0; i < 50; i += 1) await on.submit({ organization: 'flood' });
    await on.next();
    const quiet = await on.submit({ organization: 'quiet' });
    expect(quiet.position).toBeLessThanOrEqual(2);
    const order = await on.drain();
    expect(order.indexOf(quiet.taskId)).toBe(quiet.position - 1);
  });

  test('turns are shared by tokens', async () => {
    const owners = new Map<string, string>();
    for (let i = 0; i < 40; i += 1) {
      owners.set((await on.submit({ organization: 'small', cost: 10 })).taskId, 'small');
      if (i < 10) owners.set((await on.submit({ organization: 'large', cost: 40 })).taskId, 'large');
    }
    const order = (await on.drain()).map((id) => owners.get(id));
    expect(order.slice(0, 25).filter((owner) => owner === 'large').length).toBeGreaterThanOrEqual(4);
    expect(order.slice(0, 25).filter((owner) => owner === 'large').length).toBeLessThanOrEqual(6);
  });

  test('who had nothing waiting is owed nothing', async () => {
    for (let i = 0; i < 10; i += 1) await on.submit({ organization: 'busy' });
    for (let i = 0; i < 5; i += 1) await on.next();
    const late = [];
    for (let i = 0; i < 5; i += 1) late.push((await on.submit({ organization: 'late' })).taskId);
    expect(late.indexOf((await on.drain())[0] ?? '')).toBeLessThanOrEqual(0);
    const next = await on.submit({ organization: 'late' });
    expect(next.position).toBe(1);
  });

  test('a higher priority goes first, and who waits long rises', async () => {
    const low = await on.submit({ priority: -1 });
    const usual = await on.submit();
    const high = await on.submit({ priority: 5 });
    const position = async ({ taskId }: Task) => (await on.tasks.find(taskId))?.position;
    expect(await Promise.all([high, usual, low].map(position))).toEqual([1, 2, 3]);
    expect(await on.drain()).toEqual([high.taskId, usual.taskId, low.taskId]);
    const old = await on.submit();
    on.nowMs += 3 * AGEING_MS;
    const young = await on.submit({ priority: 2 });
    expect(await on.drain()).toEqual([old.taskId, young.taskId]);
  });

  test('positions are those of the order in which tasks are given out', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 60; i += 1) {
      const organization = `o${(i * i) % 7}`;
      ids.push((await on.submit({ organization, priority: i % 3, cost: 1 + ((i * 7_919) % 50_000) })).taskId);
    }
    const positions = await Promise.all(ids.map(async (id) => (await on.tasks.find(id))?.position ?? 0));
    const order = await on.drain();
    expect(ids.toSorted((a, b) => (positions[ids.indexOf(a)] ?? 0) - (positions[ids.indexOf(b)] ?? 0))).toEqual(order);
    expect(positions.toSorted((a, b) => a - b)).toEqual(ids.map((_, i) => i + 1));
  });

  test('cancelling ends a task for good, queued, delayed or running', async () => {
    const delayed = await on.submit();
    await on.tasks.putBack(await on.next(), because({ delayMs: 1_000, consumed: false }));
    const running = await on.submit();
    const claimed = await on.next();
    const queued = await on.submit();
    for (const { taskId } of [delayed, running, queued]) {
      expect(await on.tasks.cancel(taskId, 'acme/bob')).toEqual({ kind: 'unknown' });
      expect(await on.tasks.cancel(taskId, 'acme/ann')).toMatchObject({
        ...{ kind: 'cancelled' },
        task: { state: 'failed', position: 0, outcome: { state: 'failed', failure: { type: 'Cancelled' } } },
      });
      expect(await on.tasks.cancel(taskId, 'acme/ann')).toMatchObject({ kind: 'ended' });
      expect((await on.eventsOf(taskId)).at(-1)?.kind).toBe('ended');
    }
    expect(await on.tasks.append(claimed, 0, 'x')).toBe(false);
    expect(await on.tasks.finish(claimed, done())).toBe(false);
    on.nowMs += 60_000;
    await on.tasks.sweep();
    expect(await on.drain()).toEqual([]);
    expect(await on.tasks.cancel('nothing', 'acme/ann')).toEqual({ kind: 'unknown' });
    expect((await on.submit()).position).toBe(1);
  });

  test('events come from any of them on, in bounded pages', async () => {
    const { taskId } = await on.submit();
    const claimed = await on.next();
    for (let i = 0; i < 20; i += 1) await on.tasks.append(claimed, i, `text ${i}`);
    const found = await on.tasks.events(taskId, 5, 4, 1e6);
    expect(found?.map(({ eventId }) => eventId)).toEqual([6, 7, 8, 9]);
    expect((await on.tasks.events(taskId, 2, 100, 10))?.length).toBeLessThan(5);
    expect((await on.tasks.events(taskId, 2, 100, 1))?.length).toBe(1);
    expect(await on.tasks.events(taskId, 22, 100, 1e6)).toEqual([]);
    expect(await on.tasks.events('nothing', 0, 100, 1e6)).toBeUndefined();
  });

  test('an owner lists its own, the newest first, in pages', async () => {
    const mine: string[] = [];
    for (let i = 0; i < 5; i += 1) {
      mine.unshift((await on.submit()).taskId);
      await on.submit({ owner: 'acme/bob' });
      on.nowMs += 1;
    }
    const first = await on.tasks.list('acme/ann', 3, undefined);
    const second = await on.tasks.list('acme/ann', 3, first.next);
    expect([...first.tasks, ...second.tasks].map(({ taskId }) => taskId)).toEqual(mine);
    expect(second.next).toBeUndefined();
  });

  test('an ended task is forgotten after its time, with its key and its events', async () => {
    const { taskId } = await on.submit({ idempotencyKey: 'k' });
    await on.tasks.finish(await on.next(), done());
    const waiting = await on.submit();
    on.nowMs += TTL_MS - 1;
    await on.tasks.sweep();
    expect(await on.tasks.find(taskId)).toBeDefined();
    on.nowMs += 2;
    await on.tasks.sweep();
    expect(await on.tasks.find(taskId)).toBeUndefined();
    expect(await on.tasks.events(taskId, 0, 10, 1e6)).toBeUndefined();
    expect(await on.tasks.findByKey('acme/ann', 'k', 'f')).toBeUndefined();
    expect((await on.tasks.list('acme/ann', 10, undefined)).tasks.map((task) => task.taskId)).toEqual([waiting.taskId]);
    expect(await on.submit({ idempotencyKey: 'k' })).toMatchObject({ state: 'queued' });
  });

  test('however much is past its time, sweeping says when it is done', async () => {
    const ids = await Promise.all(Array.from({ length: 250 }, async () => (await on.submit()).taskId));
    await Promise.all(ids.slice(1).map((taskId) => on.tasks.cancel(taskId, 'acme/ann')));
    on.nowMs += TTL_MS + 1;
    let sweeps = 1;
    while (await on.tasks.sweep()) sweeps += 1;
    expect(sweeps).toBe(3);
    expect((await on.tasks.list('acme/ann', 500, undefined)).tasks.map(({ taskId }) => taskId)).toEqual([ids[0]]);
  });

  test('who watches is told of every change, and what waits', async () => {
    const told: TaskNews[] = [];
    const stop = on.tasks.watch((news) => told.push(news));
    const seen = (taskId: string, isQueued: boolean): Promise<void> =>
      expect
        .poll(() => told.splice(0).some((news) => news.taskId === taskId && news.isQueued === isQueued), {
          timeout: 10_000,
        })
        .toBe(true);
    // The shared store tells it when it can be heard.
    if (on.stores.kind === 'redis') await expect.poll(() => told.length, { timeout: 10_000 }).toBe(1);
    const { taskId } = await on.submit();
    await seen(taskId, true);
    const claimed = await on.next();
    await seen(taskId, false);
    await on.tasks.append(claimed, 0, 'x');
    await seen(taskId, false);
    await on.tasks.putBack(claimed, because());
    await seen(taskId, true);
    await on.tasks.finish(await on.next(), done());
    await seen(taskId, false);
    stop();
    await on.submit();
    expect(told.filter((news) => news.taskId !== taskId)).toEqual([]);
  });

  test('a process that starts anew finds everything', async () => {
    const key = { idempotencyKey: 'k' };
    const { taskId } = await on.submit(key);
    await on.submit();
    const claimed = await on.next();
    await on.tasks.append(claimed, 0, 'x');
    const anew = await on.another();
    expect(await anew.find(taskId)).toEqual(await on.tasks.find(taskId));
    expect(await anew.events(taskId, 0, 10, 1e6)).toEqual(await on.eventsOf(taskId));
    expect(await anew.append(claimed, 1, 'y')).toBe(true);
    expect(await anew.submit(on.submission(key))).toMatchObject({ kind: 'known' });
    expect(await anew.claim(5, LEASE_MS)).toHaveLength(1);
  });
});
