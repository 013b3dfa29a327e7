import { afterEach, expect, test } from 'vitest';
import { OwnProcesses } from './own-processes.ts';
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
  let marks: string[] = [];
  const own = new OwnProcesses(() => marks);
  expect([...(await own.find())]).toEqual([]);
  marks = [child.mark];
  const found = await own.find();
  expect([...found]).toEqual(expect.arrayContaining([child.processId, grandchild]));
  expect(found.has(process.pid)).toBe(false);
});

test.runIf(process.platform === 'linux')('what has ended counts until its start is forgotten', async () => {
  const { child } = await family();
  let marks = [child.mark];
  const own = new OwnProcesses(() => marks);
  await own.find();
  child.signal('SIGKILL');
  await child.exited;
  expect((await own.find()).has(child.processId)).toBe(true);
  marks = [];
  expect((await own.find()).size).toBe(0);
});
