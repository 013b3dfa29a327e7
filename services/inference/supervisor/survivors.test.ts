import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { isRunning } from '../../../test/engines/processes.ts';
import { MARK_VARIABLE, processesWithMark, startTimeOf } from './process-table.ts';
import { killSurvivors } from './survivors.ts';

const onLinux = test.runIf(process.platform === 'linux');

/** Process groups, as the negative ids of their leaders, and single processes. */
const started: number[] = [];
const PATIENCE_MS = 60_000;
afterEach(() => {
  for (const id of started.splice(0)) {
    try {
      process.kill(id, 'SIGKILL');
    } catch {
      // Gone already, as it should.
    }
  }
});

/** Starts a shell script under a mark and waits for its first line, which holds process ids. */
async function shell(script: string, mark: string): Promise<{ leader: number; processIds: number[] }> {
  const child = spawn('sh', ['-c', script], {
    detached: true,
    env: { PATH: process.env.PATH, [MARK_VARIABLE]: mark },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  started.push(-(child.pid ?? 0));
  const [line] = (await once(child.stdout as NonNullable<typeof child.stdout>, 'data')) as [Buffer];
  return { leader: child.pid ?? 0, processIds: String(line).trim().split(' ').map(Number) };
}

const newMark = (): string => randomBytes(16).toString('hex');

onLinux('whatever carries the mark is killed, sessions of their own and the stubborn included', async () => {
  const mark = newMark();
  const stubborn = `trap "" TERM HUP INT; while :; do sleep 1; done`;
  const mine = await shell(`setsid sh -c '${stubborn}' & echo $$ $!; ${stubborn}`, mark);
  const others = await shell('echo $$; exec sleep 600', newMark());
  const killed = await killSurvivors(mark, PATIENCE_MS);
  expect(killed).toEqual(expect.arrayContaining(mine.processIds));
  expect(mine.processIds.filter(isRunning)).toEqual([]);
  expect(others.processIds.filter(isRunning)).toEqual(others.processIds);
  expect(await killSurvivors(mark, PATIENCE_MS)).toEqual([]);
});

onLinux(
  'a family that forks all the time is killed to the last',
  async () => {
    const mark = newMark();
    // Each generation leaves the session, starts the next one and ends.
    const generation = 'sleep 0.01; setsid sh -c "$GENERATION" & exit 0';
    await shell(
      `export GENERATION='${generation}'; for i in 1 2 3; do setsid sh -c "$GENERATION" & done; echo $$; wait`,
      mark,
    );
    await killSurvivors(mark, 20_000);
    expect(await processesWithMark(mark)).toEqual([]);
  },
  30_000,
);

onLinux('a process without the mark is found by the session that the leader began', async () => {
  const mark = newMark();
  const { leader, processIds } = await shell('env -i /bin/sleep 600 & echo $!; exec sleep 600', mark);
  const startTime = startTimeOf(leader) ?? '';
  await expect.poll(() => processesWithMark(mark)).toEqual([leader]);
  process.kill(leader, 'SIGKILL');
  expect(await killSurvivors(mark, PATIENCE_MS, { processId: leader, startTime })).toEqual(
    expect.arrayContaining(processIds),
  );
  expect(processIds.filter(isRunning)).toEqual([]);
});

onLinux("a leader whose number is another's by now is left alone, and so is its session", async () => {
  const { leader, processIds } = await shell('sleep 600 & echo $!; exec sleep 600', newMark());
  expect(await killSurvivors(newMark(), PATIENCE_MS, { processId: leader, startTime: 'this-boot:1' })).toEqual([]);
  expect([leader, ...processIds].every(isRunning)).toBe(true);
});

onLinux('what cannot be ended in time is named', async () => {
  const mark = newMark();
  // Only one look is taken, and a process that becomes another program shows no mark for a moment.
  const { leader } = await shell('echo $$; while :; do sleep 1; done', mark);
  const late = killSurvivors(mark, 0);
  await expect(late).rejects.toMatchObject({ name: 'SurvivorsLeftError', message: expect.stringContaining('0 ms') });
  await expect.poll(() => isRunning(leader)).toBe(false);
});
