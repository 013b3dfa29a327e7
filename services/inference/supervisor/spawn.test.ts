import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { isRunning } from '../../../test/engines/processes.ts';
import { type GuardedProcess, spawnGuarded } from './spawn.ts';

interface Run extends GuardedProcess {
  readonly output: () => string;
}

function start(program: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}): Run {
  let output = '';
  const onPiece = (piece: string): void => {
    output += piece;
  };
  const guarded = spawnGuarded({
    program,
    args,
    environment,
    environmentVariable: (name) => process.env[name],
    onStdout: onPiece,
    onStderr: onPiece,
  });
  return { ...guarded, output: () => output };
}

const shell = (script: string) => start('sh', ['-c', script]);

async function firstLine(run: Run): Promise<string> {
  await expect.poll(run.output).toContain('\n');
  return run.output().split('\n')[0] ?? '';
}

async function untilGone(processIds: readonly number[]): Promise<void> {
  await expect.poll(() => processIds.filter(isRunning)).toEqual([]);
}

test.each(['kill', 'term'] as const)('SIGKILL of the parent leaves neither engine nor grandchild (%s)', async (how) => {
  const program = join(import.meta.dirname, '../../../test/engines/guard-parent.ts');
  const parent: ChildProcess = spawn(process.execPath, [program, how], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(parent.stdout as NonNullable<typeof parent.stdout>, 'data')) as [Buffer];
  const { engine, grandchild } = JSON.parse(String(line)) as { engine: number; grandchild: number };
  expect([engine, grandchild].every(isRunning)).toBe(true);
  parent.kill('SIGKILL');
  await untilGone([engine, grandchild]);
});

test('the exit of the program is seen as it was', async () => {
  const failed = shell('exit 7');
  expect(await failed.exited).toEqual({ code: 7, signal: undefined });
  await failed.sweep();
  const killed = shell('kill -SEGV $$');
  expect(await killed.exited).toEqual({ code: undefined, signal: 'SIGSEGV' });
  await killed.sweep();
  const clean = shell('exit 0');
  expect(await clean.exited).toMatchObject({ code: 0 });
  await clean.sweep();
});

test('a sweep kills what the program left behind', async () => {
  const child = `(trap '' TERM; exec sh -c 'echo $$; : > "$0"; while :; do sleep 1; done' "$UP") &`;
  const run = shell(`UP=$(mktemp -u); ${child} until [ -e "$UP" ]; do sleep 0.02; done; rm "$UP"; exit 0`);
  await run.exited;
  await firstLine(run);
  const grandchild = Number(run.output().trim().split('\n').at(-1));
  expect(isRunning(grandchild)).toBe(true);
  await run.sweep();
  await untilGone([grandchild]);
});

test('the group can be asked to stop, and made to', async () => {
  const polite = shell('echo up; exec sleep 60');
  await firstLine(polite);
  polite.signal('SIGTERM');
  expect(await polite.exited).toMatchObject({ signal: 'SIGTERM' });
  await polite.sweep();
  polite.signal('SIGKILL');
  const stubborn = shell(`trap '' TERM; echo up; while :; do sleep 1; done`);
  await firstLine(stubborn);
  stubborn.signal('SIGTERM');
  expect(isRunning(stubborn.processId)).toBe(true);
  stubborn.signal('SIGKILL');
  expect(await stubborn.exited).toMatchObject({ signal: 'SIGKILL' });
  await stubborn.sweep();
});

test('an engine does not outlive its guard', async () => {
  const run = shell('echo up; exec sleep 60');
  await firstLine(run);
  const guard = await guardOf(run.processId);
  process.kill(guard, 'SIGKILL');
  expect(await run.exited).toMatchObject({ signal: 'SIGKILL' });
});

/** The other process of the group. */
async function guardOf(engine: number): Promise<number> {
  const ps = spawn('ps', ['-A', '-o', 'pid=,pgid='], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  ps.stdout.on('data', (piece) => {
    text += piece;
  });
  await once(ps, 'close');
  const rows = text
    .trim()
    .split('\n')
    .map((row) => row.trim().split(/\s+/).map(Number));
  const guard = rows.find(([pid, group]) => group === engine && pid !== engine)?.[0];
  if (guard === undefined) throw new Error('no guard');
  return guard;
}

test('the program gets its own variables, a few of ours, and no descriptor of the guard', async () => {
  process.env.MESH_TEST_SECRET = 'hush';
  const run = start('sh', ['-c', 'env; readlink /proc/$$/fd/3 || echo no third'], { OWN: 'yes' });
  await run.exited;
  await run.sweep();
  expect(run.output()).toContain('OWN=yes');
  expect(run.output()).toContain('PATH=');
  expect(run.output()).not.toContain('hush');
  expect(run.output()).toContain('no third');
  delete process.env.MESH_TEST_SECRET;
});

test('every process of a start carries its mark, whatever its own variables say, and no other start does', async () => {
  const run = start('sh', ['-c', 'sh -c "echo $MESH_ENGINE_MARK"'], { MESH_ENGINE_MARK: 'mine' });
  await run.outputEnded;
  expect(run.output()).toBe(`${run.mark}\n`);
  await run.sweep();
  const other = shell('exit 0');
  expect(other.mark).not.toBe(run.mark);
  await other.sweep();
});

test('arguments are not read by a shell', async () => {
  const run = start('printf', ['%s|', '$(echo hacked)', '`id`', 'a b', "'"]);
  await run.exited;
  await run.sweep();
  expect(run.output()).toBe("$(echo hacked)|`id`|a b|'|");
});

test('a program that is not there ends like the shell says', async () => {
  const run = start('/no/such/engine', []);
  expect(await run.exited).toMatchObject({ code: 127 });
  await run.sweep();
});
