import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { isRunning } from '../../../test/engines/processes.ts';
import { processesWithMark } from './process-table.ts';
import { type GuardedProcess, spawnGuarded } from './spawn.ts';

const PARENT = join(import.meta.dirname, '../../../test/engines/guard-parent.ts');

const started: number[] = [];
afterEach(() => {
  for (const processId of started.splice(0)) if (isRunning(processId)) process.kill(processId, 'SIGKILL');
});

async function untilGone(processIds: readonly number[]): Promise<void> {
  await expect.poll(() => processIds.filter(isRunning)).toEqual([]);
}

/** Runs a script under a guard and waits for its first line, which holds process ids. */
async function family(script: string): Promise<{ run: GuardedProcess; processIds: number[] }> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const run = spawnGuarded({
    program: 'sh',
    args: ['-c', script],
    environment: {},
    environmentVariable: (name) => process.env[name],
    onStdout: resolve,
    onStderr: () => {},
  });
  const processIds = (await promise).trim().split(' ').map(Number);
  started.push(...processIds);
  return { run, processIds };
}

/** The ids of a process's session, read from /proc. */
function sessionOf(processId: number): number {
  const stat = readFileSync(`/proc/${processId}/stat`, 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]);
}

const ESCAPES = `setsid sh -c 'trap "" TERM HUP INT; while :; do sleep 1; done' & echo $$ $!; exec sleep 600`;

test.runIf(process.platform === 'linux').each(['kill', 'term', 'session'])(
  'SIGKILL of the parent leaves nothing within 5 s (%s)',
  async (how) => {
    const parent: ChildProcess = spawn(process.execPath, [PARENT, how], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(parent.stdout as NonNullable<typeof parent.stdout>, 'data')) as [Buffer];
    const { engine, grandchild } = JSON.parse(String(line)) as { engine: number; grandchild: number };
    started.push(engine, grandchild);
    await expect.poll(() => sessionOf(grandchild) === engine).toBe(how !== 'session');
    parent.kill('SIGKILL');
    await untilGone([engine, grandchild]);
  },
  20_000,
);

test.runIf(process.platform === 'linux')(
  'what left the group goes also when somebody kills the whole group, guard and all',
  async () => {
    const { run, processIds } = await family(ESCAPES);
    const [engine = 0, escaped = 0] = processIds;
    await expect.poll(() => sessionOf(escaped)).not.toBe(engine);
    process.kill(-engine, 'SIGKILL');
    await untilGone([engine, escaped]);
    await run.sweep();
    await expect.poll(() => processesWithMark(run.mark)).toEqual([]);
  },
  20_000,
);

test.runIf(process.platform === 'linux')(
  'only what carries the mark is killed, and no sweeper stays',
  async () => {
    const [one, other] = [await family(ESCAPES), await family(ESCAPES)];
    const sweepers = sweepersOf(one.run.mark);
    expect(sweepers).toHaveLength(1);
    await one.run.sweep();
    await untilGone([...one.processIds, ...sweepers]);
    expect(other.processIds.every(isRunning)).toBe(true);
    await other.run.sweep();
    await untilGone(other.processIds);
  },
  20_000,
);

test.each([
  [{}, '1'],
  [{ SPT_NOENV: '' }, ''],
])(
  'a Python program that sets its title is told to leave the mark alone, unless an entry says otherwise: %j',
  async (environment, told) => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const run = spawnGuarded({
      program: 'sh',
      args: ['-c', 'echo "<$SPT_NOENV>"'],
      environment,
      environmentVariable: (name) => process.env[name],
      onStdout: resolve,
      onStderr: () => {},
    });
    expect((await promise).trim()).toBe(`<${told}>`);
    await run.sweep();
  },
);

/** Processes that were told a mark by argument. */
function sweepersOf(mark: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((processId) => processId > 0 && argumentsOf(processId).includes(mark));
}

function argumentsOf(processId: number): string[] {
  try {
    return readFileSync(`/proc/${processId}/cmdline`, 'latin1').split('\0');
  } catch {
    return [];
  }
}
