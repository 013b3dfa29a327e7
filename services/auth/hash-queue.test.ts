import { expect, test } from 'vitest';
import { createHashQueue } from './hash-queue.ts';

/** Work that ends when it is told to. */
function startable(): { run: () => Promise<number>; started: number[]; end: (index: number, error?: Error) => void } {
  const started: number[] = [];
  const ends: ((error?: Error) => void)[] = [];
  return {
    started,
    run() {
      const index = started.push(started.length) - 1;
      return new Promise((resolve, reject) => {
        ends[index] = (error) => (error ? reject(error) : resolve(index));
      });
    },
    end: (index, error) => ends[index]?.(error),
  };
}

/** Lets everything that is due happen. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('so much runs at a time, in order, and what does not fit is refused at once', async () => {
  const queue = createHashQueue({ running: 2, waiting: 2 });
  const work = startable();
  const runs = Array.from({ length: 4 }, () => queue.run(work.run));
  await turn();
  expect(work.started).toHaveLength(2);
  await expect(queue.run(work.run)).rejects.toMatchObject({ reason: 'QUEUE_FULL', retryAfterMs: 2_000 });
  work.end(1);
  await turn();
  expect(work.started).toHaveLength(3);
  // A place is free again.
  runs.push(queue.run(work.run));
  for (const index of [0, 2, 3, 4]) {
    work.end(index);
    await turn();
  }
  expect(await Promise.all(runs)).toEqual([0, 1, 2, 3, 4]);
});

test('work that fails gives its place away', async () => {
  const queue = createHashQueue({ running: 1, waiting: 1 });
  const work = startable();
  const failing = queue.run(work.run);
  const next = queue.run(work.run);
  work.end(0, new Error('no memory'));
  await expect(failing).rejects.toThrow('no memory');
  await turn();
  work.end(1);
  expect(await next).toBe(1);
  const last = queue.run(work.run);
  work.end(2);
  expect(await last).toBe(2);
});
