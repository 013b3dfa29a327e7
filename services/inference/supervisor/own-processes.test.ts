import { afterEach, expect, test } from 'vitest';
import { isRunning } from '../../../test/engines/processes.ts';
import { type MarkedStart, OwnProcesses } from './own-processes.ts';
import { type GuardedProcess, spawnGuarded } from './spawn.ts';

const started: GuardedProcess[] = [];
afterEach(async () => {
  for (const child of started.splice(0)) await child.sweep();
});

/** Two processes, one in a session of its own; resolves with the id of that one. */
async function family(): Promise<{ child: GuardedProcess; grandchild: number }> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const child = spawnGuarded({
    program: 'sh',
    args: ['-c', 'setsid sh -c "echo \\$\\$; exec sleep 60" & wait'],
    environment: {},
    environmentVariable: (name) => process.env[name],
    onStdout: resolve,
    onStderr: () => {},
  });
  started.push(child);
  return { child, grandchild: Number(await promise) };
}

test.runIf(process.platform === 'linux')('finds a family by its mark, and nobody without one', async () => {
  const { child, grandchild } = await family();
  let starts: MarkedStart[] = [];
  const own = new OwnProcesses(
    () => starts,
    () => [],
  );
  expect([...(await own.find()).keys()]).toEqual([]);
  starts = [child];
  const found = await own.find();
  expect([...found.keys()]).toEqual(expect.arrayContaining([child.processId, grandchild]));
  expect(new Set(found.values())).toEqual(new Set([child.mark]));
  expect(found.has(process.pid)).toBe(false);
});

test.runIf(process.platform === 'linux')('what has ended counts until its start is forgotten', async () => {
  const { child, grandchild } = await family();
  let starts: MarkedStart[] = [child];
  let marks: string[] = [];
  const own = new OwnProcesses(
    () => starts,
    () => marks,
  );
  own.note();
  await expect.poll(async () => (await own.find()).has(grandchild)).toBe(true);
  process.kill(grandchild, 'SIGKILL');
  child.signal('SIGKILL');
  await expect.poll(() => [child.processId, grandchild].filter(isRunning)).toEqual([]);
  expect([...(await own.find()).keys()]).toEqual(expect.arrayContaining([child.processId, grandchild]));
  // Its life is over, and its devices are not free yet.
  starts = [];
  marks = [child.mark];
  expect([...(await own.find()).keys()]).toEqual(expect.arrayContaining([child.processId, grandchild]));
  marks = [];
  expect((await own.find()).size).toBe(0);
});
