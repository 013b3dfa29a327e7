/**
 * What it costs to accept a task durably. First in CPU time of this process, by the store alone, on SQLite and Redis, with 10 and with
 * 100,000 tasks waiting, beside the least that a call to the same store costs at all; on Redis also the CPU of the server, which writes to
 * disk what it accepts. Then in CPU time of a whole mesh, over its public port (Linux).
 * Usage: npm run bench:tasks [-- --repetitions 5 --submits 5000 --waiting 10,100000]
 * Exit codes: 0 every goal reached, 1 a goal was missed.
 */
import { parseArgs } from 'node:util';
import { hasRedis } from '../test/harness/redis.ts';
import { describeMachine } from './harness/machine.ts';
import { type Summary, summarize } from './harness/statistics.ts';
import { startMeshSubject } from './tasks/mesh.ts';
import { redisTasks, sqliteTasks, type TasksSubject } from './tasks/subject.ts';

/** 1,000 submits per second on one core. CPU microseconds, that of the server included. */
const GOAL_US = 1_000;

/** How much more a submit may cost with the most tasks waiting than with the fewest; the rest is noise of the machine. */
const GROWTH = 1.5;

const IN_FLIGHT = [1, 64];

const { values: options } = parseArgs({
  options: {
    repetitions: { type: 'string', default: '5' },
    submits: { type: 'string', default: '5000' },
    waiting: { type: 'string', default: '10,100000' },
  },
});
const submits = Number(options.submits);

/** CPU microseconds per call of this process and of the server. */
interface Run {
  readonly cpuUs: number;
  readonly serverUs: number;
}

/** Runs `count` calls with so many under way at any moment. */
async function run(subject: TasksSubject, count: number, inFlight: number, call: () => Promise<unknown>): Promise<Run> {
  let left = count;
  const caller = async (): Promise<void> => {
    for (; left > 0; ) {
      left -= 1;
      await call();
    }
  };
  const serverBefore = await subject.serverCpuUs();
  const before = process.cpuUsage();
  await Promise.all(Array.from({ length: inFlight }, caller));
  const { user, system } = process.cpuUsage(before);
  return { cpuUs: (user + system) / count, serverUs: ((await subject.serverCpuUs()) - serverBefore) / count };
}

const shown = ({ median, min, max }: Summary): string =>
  `${median.toPrecision(3)} (${min.toPrecision(3)}–${max.toPrecision(3)})`;

/** Measures one row and prints it; returns the medians of process and server together. */
async function row(
  subject: TasksSubject,
  what: string,
  inFlight: number,
  call: () => Promise<unknown>,
  between: () => Promise<void>,
  goal = '',
): Promise<number> {
  const runs: Run[] = [];
  // The first one warms up.
  for (let i = 0; i <= Number(options.repetitions); i += 1) {
    const one = await run(subject, submits, inFlight, call);
    if (i > 0) runs.push(one);
    await between();
  }
  const cpu = summarize(runs.map(({ cpuUs }) => cpuUs));
  const server = summarize(runs.map(({ serverUs }) => serverUs));
  const ofServer = subject.name === 'Redis' ? shown(server) : '–';
  console.log(`| ${subject.name} | ${what} | ${inFlight} | ${shown(cpu)} | ${ofServer} | ${goal} |`);
  return cpu.median + server.median;
}

async function measure(open: () => Promise<TasksSubject>): Promise<boolean> {
  let isReached = true;
  const fewest = new Map<number, number>();
  for (const waiting of options.waiting.split(',').map(Number)) {
    const subject = await open();
    try {
      await subject.fill(waiting);
      for (const inFlight of IN_FLIGHT) {
        if (fewest.size < IN_FLIGHT.length) {
          await row(subject, 'baseline: a bare call', inFlight, subject.bareCall, async () => {});
        }
        const goal = `≤ ${GOAL_US} together`;
        const us = await row(subject, `${waiting} wait`, inFlight, subject.submit, () => subject.fill(waiting), goal);
        const least = fewest.get(inFlight) ?? us;
        fewest.set(inFlight, Math.min(least, us));
        if (us > GOAL_US || us > GROWTH * least) isReached = false;
      }
    } finally {
      await subject.close();
    }
  }
  return isReached;
}

/** A whole mesh in one process, all that a submission takes. */
async function measureMesh(): Promise<boolean> {
  const mesh = await startMeshSubject();
  let isReached = true;
  try {
    for (const [name, submit] of Object.entries(mesh.ways)) {
      const runs: number[] = [];
      for (let i = 0; i <= Number(options.repetitions); i += 1) {
        const before = mesh.cpuUs();
        let left = submits;
        const caller = async (): Promise<void> => {
          for (; left > 0; ) {
            left -= 1;
            await submit();
          }
        };
        await Promise.all(Array.from({ length: 64 }, caller));
        if (i > 0) runs.push((mesh.cpuUs() - before) / submits);
      }
      const cpu = summarize(runs);
      console.log(`| mesh, SQLite | ${name} | 64 | ${shown(cpu)} | – | ≤ ${GOAL_US} |`);
      if (cpu.median > GOAL_US) isReached = false;
    }
  } finally {
    await mesh.close();
  }
  return isReached;
}

console.log(`${JSON.stringify(describeMachine())}\n`);
console.log('| store | | in flight | CPU µs per submit | server CPU µs | goal |\n|---|---|--:|--:|--:|--:|');
let isReached = true;
for (const open of hasRedis() ? [sqliteTasks, redisTasks] : [sqliteTasks]) {
  if (!(await measure(open))) isReached = false;
}
if (!(await measureMesh())) isReached = false;
process.exitCode = isReached ? 0 : 1;
