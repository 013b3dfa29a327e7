/**
 * What admission costs: Reserve and Settle of one request with seven limits, in CPU time of this process, beside the least that
 * a call to the same store costs at all. On Redis also the server's own CPU and round trips.
 * Usage: npm run bench:quota [-- --repetitions 5 --requests 20000 --keys 10,10000,1000000]
 * Exit codes: 0 every goal reached, 1 a goal was missed.
 */
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { hasRedis } from '../test/harness/redis.ts';
import { describeMachine } from './harness/machine.ts';
import { type Summary, summarize } from './harness/statistics.ts';
import { requestOf } from './quota/callers.ts';
import { redisSubject, type Subject, sqliteSubject } from './quota/subject.ts';

/** CPU microseconds of Reserve and Settle together, by store and requests in flight. */
const GOALS: Readonly<Record<string, number>> = { 'SQLite 1': 100, 'SQLite 64': 100, 'Redis 64': 40 };

/** Callers of the runs in which few of those that the store knows are active. */
const ACTIVE = 10;

const { values: options } = parseArgs({
  options: {
    repetitions: { type: 'string', default: '5' },
    requests: { type: 'string', default: '20000' },
    keys: { type: 'string', default: '10,10000,1000000' },
  },
});
const requests = Number(options.requests);

/** One run: per request CPU of this process, of the server, and how many scripts it ran. */
interface Run {
  readonly cpuUs: number;
  readonly serverUs: number;
  readonly scripts: number;
}

/** Runs `count` calls with so many under way at any moment. */
async function run(subject: Subject, count: number, inFlight: number, call: () => Promise<unknown>): Promise<Run> {
  let left = count;
  const worker = async (): Promise<void> => {
    for (; left > 0; ) {
      left -= 1;
      await call();
    }
  };
  const serverBefore = await subject.serverUse();
  const before = process.cpuUsage();
  await Promise.all(Array.from({ length: inFlight }, worker));
  const { user, system } = process.cpuUsage(before);
  const serverAfter = await subject.serverUse();
  return {
    cpuUs: (user + system) / count,
    serverUs: ((serverAfter?.cpuUs ?? 0) - (serverBefore?.cpuUs ?? 0)) / count,
    scripts: ((serverAfter?.scripts ?? 0) - (serverBefore?.scripts ?? 0)) / count,
  };
}

/** Repeats a run after one that warms up. */
async function repeat(subject: Subject, inFlight: number, call: () => Promise<unknown>): Promise<Run[]> {
  await run(subject, requests / 2, inFlight, call);
  const runs: Run[] = [];
  for (let i = 0; i < Number(options.repetitions); i += 1) runs.push(await run(subject, requests, inFlight, call));
  return runs;
}

const shown = ({ median, min, max }: Summary): string =>
  `${median.toPrecision(3)} (${min.toPrecision(3)}–${max.toPrecision(3)})`;

/** Prints one row; returns whether its goal was reached. */
function row(subject: Subject, what: string, inFlight: number, runs: readonly Run[], goal?: number): boolean {
  const cpu = summarize(runs.map(({ cpuUs }) => cpuUs));
  const server = shown(summarize(runs.map(({ serverUs }) => serverUs)));
  const scripts = summarize(runs.map((one) => one.scripts)).median.toFixed(2);
  const ofServer = subject.name === 'Redis' ? `${server} | ${scripts}` : '– | –';
  console.log(`| ${subject.name} | ${what} | ${inFlight} | ${shown(cpu)} | ${goal ? `≤ ${goal}` : ''} | ${ofServer} |`);
  return goal === undefined || cpu.median <= goal;
}

const twice = (call: () => Promise<unknown>) => async (): Promise<void> => {
  await call();
  await call();
};

async function measure(open: () => Promise<Subject>, keys: number, isFirst: boolean): Promise<boolean> {
  const subject = await open();
  let reached = true;
  try {
    for (const inFlight of isFirst ? [1, 64] : []) {
      row(subject, 'baseline: two bare calls', inFlight, await repeat(subject, inFlight, twice(subject.bareCall)));
    }
    if (isFirst && subject.bareWrite) {
      row(subject, 'baseline: two transactions of one row', 1, await repeat(subject, 1, twice(subject.bareWrite)));
    }
    await subject.fill(keys);
    for (const active of new Set([Math.min(ACTIVE, keys), keys])) {
      for (const inFlight of [1, 64]) {
        const call = () => requestOf(subject.quota, Math.floor(Math.random() * active), randomUUID());
        const goal = GOALS[`${subject.name} ${inFlight}`];
        const what = active === keys ? `${keys} keys` : `${active} of ${keys} keys`;
        if (!row(subject, what, inFlight, await repeat(subject, inFlight, call), goal)) reached = false;
      }
    }
    return reached;
  } finally {
    await subject.close();
  }
}

console.log(`${JSON.stringify(describeMachine())}\n`);
console.log(
  '| store | | in flight | CPU µs per request | goal | server CPU µs | scripts |\n|---|---|--:|--:|--:|--:|--:|',
);
let reached = true;
for (const open of hasRedis() ? [sqliteSubject, redisSubject] : [sqliteSubject]) {
  for (const [i, keys] of options.keys.split(',').map(Number).entries()) {
    if (!(await measure(open, keys, i === 0))) reached = false;
  }
}
process.exitCode = reached ? 0 : 1;
