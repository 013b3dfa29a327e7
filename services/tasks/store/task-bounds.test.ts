import { expect, test } from 'vitest';
import { describeTaskStores, done, LEASE_MS, TTL_MS } from './task-store.fixture.ts';

describeTaskStores('bounds and turns of tasks', (on) => {
  test('a page of long results ends early, and the next goes on after it', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 5; i += 1) {
      ids.unshift((await on.submit()).taskId);
      await on.tasks.finish(await on.next(), done('x'.repeat(600_000)));
    }
    const seen: string[] = [];
    let after: string | undefined;
    do {
      const { tasks, next } = await on.tasks.list('acme/ann', 1_000, after);
      expect(tasks.length).toBeGreaterThan(0);
      expect(tasks.length).toBeLessThanOrEqual(2);
      seen.push(...tasks.map(({ taskId }) => taskId));
      after = next;
    } while (after !== undefined);
    expect(seen).toEqual(ids);
  });

  test('where a page ended says nothing of what others submit, and is nobody else’s', async () => {
    const first = await on.submit();
    const last = await on.submit();
    const { next } = await on.tasks.list('acme/ann', 1, undefined);
    expect(next).toBe(last.taskId);
    expect((await on.tasks.list('acme/ann', 1, next)).tasks).toMatchObject([{ taskId: first.taskId }]);
    expect(await on.tasks.list('acme/bob', 1, next)).toEqual({ tasks: [], next: undefined });
  });

  test('who cancels a flood has no debt: the next task is as one of somebody new', async () => {
    for (let i = 0; i < 40; i += 1) await on.submit({ organization: 'busy', cost: 100 });
    const flood = [];
    for (let i = 0; i < 40; i += 1) flood.push(await on.submit({ organization: 'hasty', cost: 100 }));
    await on.next();
    for (const { taskId } of flood) await on.tasks.cancel(taskId, 'acme/ann');
    expect((await on.submit({ organization: 'hasty', cost: 100 })).position).toBeLessThanOrEqual(2);
    expect((await on.submit({ organization: 'busy', cost: 100 })).position).toBe(41);
  });

  test('who cancels some stays behind what it still has', async () => {
    const kept = [];
    for (let i = 0; i < 4; i += 1) kept.push(await on.submit({ organization: 'hasty', cost: 100 }));
    for (let i = 0; i < 3; i += 1) await on.submit({ organization: 'busy', cost: 100 });
    for (const { taskId } of kept.slice(0, 3)) await on.tasks.cancel(taskId, 'acme/ann');
    expect((await on.submit({ organization: 'hasty', cost: 100 })).position).toBe(5);
  });

  test('a sweep says that there is more, so that forgetting keeps up', async () => {
    for (let i = 0; i < 620; i += 1) await on.submit({ owner: 'acme/eve' });
    for (const claim of await on.tasks.claim(1_000, LEASE_MS)) await on.tasks.finish(claim, done());
    on.nowMs += TTL_MS + 1;
    let sweeps = 1;
    while (await on.tasks.sweep()) sweeps += 1;
    expect(sweeps).toBeGreaterThan(1);
    expect((await on.tasks.list('acme/eve', 1, undefined)).tasks).toEqual([]);
  });

  test('a call that takes tasks gives the same ones again under its name', async () => {
    // In the embedded store no answer can be lost.
    if (on.stores.kind === 'sqlite') return;
    const [first] = [await on.submit(), await on.submit()];
    const given = await on.tasks.claim(1, LEASE_MS, 'look-1');
    expect(given).toMatchObject([{ taskId: first?.taskId, attempt: 1 }]);
    on.nowMs += LEASE_MS - 1;
    expect(await on.tasks.claim(1, LEASE_MS, 'look-1')).toEqual(given);
    on.nowMs += LEASE_MS - 1;
    await on.tasks.sweep();
    expect(await on.tasks.append(given[0] ?? expect.fail('none'), 0, 'x')).toBe(true);
    expect(await on.tasks.claim(1, LEASE_MS, 'look-2')).toHaveLength(1);
    await on.tasks.cancel(first?.taskId ?? '', 'acme/ann');
    expect(await on.tasks.claim(1, LEASE_MS, 'look-1')).toEqual([]);
  });

  test('one call gives out a bounded amount of work', async () => {
    if (on.stores.kind === 'sqlite') return;
    for (let i = 0; i < 4; i += 1) await on.submit({ work: new Uint8Array(1_500_000) });
    expect(await on.tasks.claim(4, LEASE_MS)).toHaveLength(2);
    expect(await on.tasks.claim(4, LEASE_MS)).toHaveLength(2);
  });
});
