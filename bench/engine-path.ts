/**
 * What a token costs from the engine's socket to a typed event, beside nginx proxying the same streams.
 * Usage: npm run bench:engine-path [-- --repetitions 5]
 * Exit codes: 0 every goal reached, 1 a goal was missed or a request failed, 78 the machine lacks something.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { describeMachine } from './harness/machine.ts';
import { measureInterleaved, warmUp } from './harness/measure.ts';
import { environment, GATEWAY_CORE, runBenchmark, type Stage } from './harness/stage.ts';
import { type Summary, summarize } from './harness/statistics.ts';
import { readWorkload } from './harness/workloads.ts';
import type { EnginePathFigures, EnginePathLoad } from './peers/engine-path.ts';
import { nginx } from './peers/nginx.ts';

const GOALS = { ofNginx: 1.3, tokensPerCpuSecond: 100_000, extraMib: 200 };
const WORKLOAD = 'paced-c256';
const PACED: EnginePathLoad = { model: 'paced', streams: 256, tokens: 150, periodMs: 20, rampMs: 500 };
const BURST: EnginePathLoad = { model: 'burst', streams: 32, tokens: 10_000, periodMs: 0, rampMs: 0 };
const MANY: EnginePathLoad = { model: 'paced', streams: 1_000, tokens: 100, periodMs: 100, rampMs: 1_000 };

const { values: options } = parseArgs({ options: { repetitions: { type: 'string', default: '5' } } });

/** The program under test; one load at a time. */
class EnginePath {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(enginePort: number) {
    const program = join(import.meta.dirname, 'peers/engine-path.ts');
    // The young generation as the launcher sets it for the mesh.
    const args = ['-c', String(GATEWAY_CORE), process.execPath, '--max-semi-space-size=8', program, String(enginePort)];
    this.#child = spawn('taskset', args, { env: environment, stdio: ['pipe', 'pipe', 'inherit'] });
    if (!this.#child.stdout) throw new Error('no output');
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async measure(load: EnginePathLoad): Promise<EnginePathFigures> {
    this.#child.stdin?.write(`${JSON.stringify(load)}\n`);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('the engine path ended');
    return JSON.parse(value);
  }

  async stop(): Promise<void> {
    this.#child.stdin?.end();
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
  }
}

async function measure(stage: Stage): Promise<boolean> {
  const bench = stage.benchOf(new Map([['nginx', await stage.start(nginx)]]));
  await warmUp(bench);
  const path = new EnginePath(stage.enginePort);
  const many = await path.measure(MANY);
  await path.measure({ ...BURST, streams: 8 });
  const runs: { nginxUs: number; paced: EnginePathFigures; burst: EnginePathFigures }[] = [];
  for (let repetition = 0; repetition < Number(options.repetitions); repetition++) {
    const [base] = await measureInterleaved(bench, [readWorkload(WORKLOAD)], 1, () => {});
    if (!base || base.load.errors > 0) throw new Error(`nginx: ${base?.load.firstError}`);
    runs.push({
      nginxUs: base.cpuUs / base.load.tokens,
      paced: await path.measure(PACED),
      burst: await path.measure(BURST),
    });
  }
  await path.stop();
  return report(runs, many);
}

function report(
  runs: readonly { nginxUs: number; paced: EnginePathFigures; burst: EnginePathFigures }[],
  many: EnginePathFigures,
): boolean {
  const perToken = ({ cpuUs, tokens }: EnginePathFigures) => cpuUs / tokens;
  const row = (name: string, { median, min, max }: Summary, digits: number): number => {
    console.log(`| ${name} | ${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)}) |`);
    return median;
  };
  const over = (figure: (run: (typeof runs)[number]) => number) => summarize(runs.map(figure));
  const about = Object.entries(describeMachine()).map(([name, value]) => `${name} ${value}`);
  console.log(`${about.join(', ')}, ${options.repetitions} repetitions\n\n| figure | measured |\n| --- | --: |`);
  row(
    `nginx, ${WORKLOAD}, CPU µs/token`,
    over((run) => run.nginxUs),
    1,
  );
  row(
    'socket to typed event, the same streams, CPU µs/token',
    over((run) => perToken(run.paced)),
    1,
  );
  const ratio = row(
    '… × nginx',
    over((run) => perToken(run.paced) / run.nginxUs),
    2,
  );
  row(
    '… tokens per event',
    over((run) => run.paced.tokens / run.paced.events),
    2,
  );
  const rate = row(
    'burst, tokens per CPU second',
    over((run) => (run.burst.tokens / run.burst.cpuUs) * 1e6),
    0,
  );
  const extraMib = (many.peakRssBytes - many.idleRssBytes) / 2 ** 20;
  console.log(`| 1,000 concurrent streams, MiB over idle | ${extraMib.toFixed(0)} |`);
  return ratio <= GOALS.ofNginx && rate >= GOALS.tokensPerCpuSecond && extraMib <= GOALS.extraMib;
}

await runBenchmark({ nginx: true }, measure);
