import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import {
  isOfThisBoot,
  isSameProcess,
  MARK_VARIABLE,
  processesInSession,
  processesWithMark,
  startTimeOf,
} from './process-table.ts';

const onLinux = test.runIf(process.platform === 'linux');

/** Process groups, as the negative ids of their leaders, and single processes. */
const started: number[] = [];
afterEach(() => {
  for (const id of started.splice(0)) {
    try {
      process.kill(id, 'SIGKILL');
    } catch {
      // Gone already, as it should.
    }
  }
});

/** Starts a shell script and waits for its first line. */
async function shell(
  script: string,
  environment: Record<string, string> = {},
): Promise<{ child: ChildProcess; line: string }> {
  const child = spawn('sh', ['-c', script], {
    detached: true,
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  started.push(-(child.pid ?? 0));
  const [line] = (await once(child.stdout as NonNullable<typeof child.stdout>, 'data')) as [Buffer];
  return { child, line: String(line).trim() };
}

const idOf = (child: ChildProcess): number => child.pid ?? 0;
const newMark = (): string => randomBytes(16).toString('hex');

onLinux('a process is told by its start, whatever its name', async () => {
  const own = startTimeOf(process.pid) ?? '';
  expect(own).toMatch(/^[0-9a-f-]{36}:\d+$/);
  expect(isOfThisBoot(own)).toBe(true);
  expect(isOfThisBoot(own.replace(/^[^:]+/, 'another-boot'))).toBe(false);
  expect(isSameProcess({ processId: process.pid, startTime: own })).toBe(true);
  expect(isSameProcess({ processId: process.pid, startTime: `${own}0` })).toBe(false);
  // The name of a process may hold what separates the fields.
  const { child } = await shell(
    `exec "${process.execPath}" -e "process.title='a) R 1 (b'; console.log(1); setInterval(()=>{}, 9)"`,
  );
  expect(startTimeOf(idOf(child))).toMatch(/:\d{2,}$/);
  expect(Number(startTimeOf(idOf(child))?.split(':')[1])).toBeGreaterThanOrEqual(Number(own.split(':')[1]));
});

onLinux('a process that has ended has no start, also before its parent has collected it', async () => {
  const { line } = await shell('sh -c "exit 0" & echo $!; exec sleep 600');
  await expect.poll(() => startTimeOf(Number(line))).toBeUndefined();
  expect(startTimeOf(4_999_999)).toBeUndefined();
});

onLinux('a mark is found in grandchildren and sessions of their own, and only as a whole', async () => {
  const [mark, other] = [newMark(), newMark()];
  const { child, line } = await shell('setsid sleep 600 & echo $!; exec sleep 600', { [MARK_VARIABLE]: mark });
  await shell('echo; exec sleep 600', { [MARK_VARIABLE]: other });
  await shell('echo; exec sleep 600', { [MARK_VARIABLE]: `${mark}0` });
  await shell('echo; exec sleep 600', { [`NOT_${MARK_VARIABLE}`]: mark });
  started.push(Number(line));
  const family = [idOf(child), Number(line)].sort((one, next) => one - next);
  expect(await processesWithMark(mark)).toEqual(family);
  expect(await processesWithMark(newMark())).toEqual([]);
});

test.each(['', 'undefined', 'abc', '*'.repeat(32)])("a mark that could be many's is refused: %j", async (mark) => {
  await expect(processesWithMark(mark)).rejects.toThrow(RangeError);
});

onLinux('a session is what its leader began, other groups and cleared environments included', async () => {
  const script = 'setsid sleep 600 & left=$!; env -i /bin/sleep 600 & echo $! $left; exec sleep 600';
  const { child, line } = await shell(script);
  const [stayed = 0, left = 0] = line.split(' ').map(Number);
  started.push(left);
  const family = [idOf(child), stayed].sort((one, next) => one - next);
  await expect.poll(() => processesInSession(idOf(child))).toEqual(family);
});
