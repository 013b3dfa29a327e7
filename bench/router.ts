/**
 * What the router alone costs in process: how much later the first token comes, with the quota of a mesh on SQLite; and CPU per
 * paced token, with quota that agrees at once, less what the same streams cost without a router, beside nginx in the same run.
 * Usage: npm run bench:router [-- --repetitions 5]
 * Exit codes: 0 every goal reached, 1 a goal was missed, 78 the machine lacks something.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { create } from '@bufbuild/protobuf';
import { GenerateRequestSchema } from '../gen/mesh/generation/v1/generate_request_pb.ts';
import { Role } from '../gen/mesh/generation/v1/prompt_pb.ts';
import { FlowControl } from '../services/shared/transport/flow-control.ts';
import type { Generate } from '../services/shared/transport/generate.ts';
import { describeMachine } from './harness/machine.ts';
import { measureInterleaved, warmUp } from './harness/measure.ts';
import { runBenchmark, type Stage } from './harness/stage.ts';
import { type Summary, summarize } from './harness/statistics.ts';
import { readWorkload } from './harness/workloads.ts';
import { nginx } from './peers/nginx.ts';
import { PacedEngine } from './router/engine.ts';
import { routerAlone, routerWithQuota } from './router/subject.ts';

const GOALS = { firstTokenMs: 0.3, ofNginx: 0.2 };
const WORKLOAD = 'paced-c256';
const PACED = { streams: 256, tokens: 150, periodMs: 20, rampMs: 500 };
const FIRST_TOKENS = 1_000;
const WARM_UP_REQUESTS = 5_000;
/** On an idle machine requests come one by one, with time for what goes on behind an answer. */
const PAUSE_MS = 2;

const { values: options } = parseArgs({ options: { repetitions: { type: 'string', default: '5' } } });

const content =
  'Explain in a few sentences how a gateway routes requests to inference engines, and what it costs per token.';
const messages = [{ role: Role.USER, parts: [{ part: { case: 'text' as const, value: content } }] }];
const request = create(GenerateRequestSchema, {
  ...{ model: 'm', prompt: { input: { case: 'chat', value: { messages } } }, sampling: { maxTokens: PACED.tokens } },
});

/** One stream; resolves with when its first token came, in milliseconds after the call. */
function stream(generate: Generate): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const calledMs = performance.now();
  let firstMs = 0;
  const call = { requestId: 'r', signal: new AbortController().signal, flow: new FlowControl(), credential: 'c' };
  generate(request, call, {
    event: ({ event }) => {
      if (firstMs === 0 && event.case === 'delta') firstMs = performance.now() - calledMs;
    },
    end: () => resolve(firstMs),
    fail: reject,
  });
  return promise;
}

/** Milliseconds until the first token, of an engine that has it at once: the middle one of many. */
async function firstToken(): Promise<number> {
  const subject = await routerWithQuota(new PacedEngine(1, 0).generate);
  const times: number[] = [];
  for (let i = 0; i < FIRST_TOKENS; i += 1) {
    times.push(await stream(subject.generate));
    await delay(PAUSE_MS);
  }
  await subject.close();
  return summarize(times.slice(FIRST_TOKENS / 10)).median;
}

/** CPU microseconds per token of all the streams. */
async function paced(generate: Generate): Promise<number> {
  const { streams, tokens, rampMs } = PACED;
  const before = process.cpuUsage();
  await Promise.all(
    Array.from({ length: streams }, async (_, at) => {
      await delay((at / streams) * rampMs);
      await stream(generate);
    }),
  );
  const { user, system } = process.cpuUsage(before);
  return (user + system) / (streams * tokens);
}

/** The same with the router, less the same without it. */
async function routerPerToken(): Promise<number> {
  const { tokens, periodMs } = PACED;
  const subject = await routerAlone(new PacedEngine(tokens, periodMs).generate);
  const through = await paced(subject.generate);
  await subject.close();
  return through - (await paced(new PacedEngine(tokens, periodMs).generate));
}

/** Enough requests for V8 to have compiled what they run through. */
async function compiled(): Promise<void> {
  const subject = await routerAlone(new PacedEngine(PACED.tokens, 0).generate);
  for (let i = 0; i < WARM_UP_REQUESTS; i += 1) await stream(subject.generate);
  await subject.close();
}

async function measure(stage: Stage): Promise<boolean> {
  const bench = stage.benchOf(new Map([['nginx', await stage.start(nginx)]]));
  await warmUp(bench);
  await firstToken();
  await compiled();
  await routerPerToken();
  const runs: { firstTokenMs: number; routerUs: number; nginxUs: number }[] = [];
  for (let repetition = 0; repetition < Number(options.repetitions); repetition += 1) {
    const [base] = await measureInterleaved(bench, [readWorkload(WORKLOAD)], 1, () => {});
    if (!base || base.load.errors > 0) throw new Error(`nginx: ${base?.load.firstError}`);
    const nginxUs = base.cpuUs / base.load.tokens;
    runs.push({ nginxUs, firstTokenMs: await firstToken(), routerUs: await routerPerToken() });
  }
  const over = (figure: (run: (typeof runs)[number]) => number): Summary => summarize(runs.map(figure));
  const about = Object.entries(describeMachine()).map(([name, value]) => `${name} ${value}`);
  console.log(
    `${about.join(', ')}, ${options.repetitions} repetitions\n\n| figure | goal | measured |\n| --- | --- | --: |`,
  );
  const row = (name: string, goal: string, { median, min, max }: Summary): number => {
    console.log(`| ${name} | ${goal} | ${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)}) |`);
    return median;
  };
  const first = row(
    'first token later by, ms',
    `≤ ${GOALS.firstTokenMs}`,
    over((run) => run.firstTokenMs),
  );
  row(
    `nginx, ${WORKLOAD}, CPU µs/token`,
    '',
    over((run) => run.nginxUs),
  );
  row(
    'router alone, the same streams, CPU µs/token',
    '',
    over((run) => run.routerUs),
  );
  const ratio = row(
    '… × nginx',
    `≤ ${GOALS.ofNginx}`,
    over((run) => run.routerUs / run.nginxUs),
  );
  return first <= GOALS.firstTokenMs && ratio <= GOALS.ofNginx;
}

await runBenchmark({ nginx: true }, measure);
