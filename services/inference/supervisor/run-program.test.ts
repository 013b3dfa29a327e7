import { expect, test } from 'vitest';
import { isRunning } from '../../../test/engines/processes.ts';
import { runProgram } from './spawn.ts';

/** Longer than a shell takes to begin on a busy machine, in milliseconds. */
const LIMIT_MS = 3_000;

const run = (script: string, timeoutMs = 20_000, variables: Readonly<Record<string, string>> = {}) =>
  runProgram('sh', ['-c', script], {
    timeoutMs,
    environmentVariable: (name) => variables[name] ?? (name === 'PATH' ? process.env.PATH : undefined),
  });

test('a program that ends is told by code, standard output and standard error', async () => {
  expect(await run('echo out; echo err >&2; exit 9')).toEqual({ code: 9, stdout: 'out\n', stderr: 'err\n' });
});

test('a program that is not there is told apart from one that fails', async () => {
  const answer = await runProgram('no-such-program', [], { timeoutMs: 20_000, environmentVariable: () => undefined });
  expect(answer.error?.code).toBe('ENOENT');
});

test('one that hangs is killed and given up', async () => {
  const answer = await run('echo $$; exec sleep 600', LIMIT_MS);
  expect(answer).toMatchObject({ error: { message: `it did not end within ${LIMIT_MS} ms` } });
  await expect.poll(() => isRunning(Number(answer.stdout))).toBe(false);
});

test('one that holds its output open over a child of its own is given up as well', async () => {
  const answer = await run('sleep 600 & echo $!; exit 0', LIMIT_MS);
  expect(answer.error?.message).toContain(`${LIMIT_MS} ms`);
  process.kill(Number(answer.stdout), 'SIGKILL');
});

test('one that writes without end is given up', async () => {
  const answer = await run('yes');
  expect(answer.error?.message).toContain('more than');
});

test('it gets the few variables that engines get', async () => {
  const { stdout } = await run('env', 20_000, { MESH_TEST_SECRET: 'hush', HOME: '/there' });
  expect(stdout).toContain('HOME=/there');
  expect(stdout).not.toContain('hush');
});
