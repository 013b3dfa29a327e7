/**
 * What it costs to be seen: CPU per token and per request of meshes with traces, metrics and logs on and off, side by side in
 * one run. Usage: sh bin/node.sh bench/observability.ts [--repetitions 5]
 * Exit codes: 0 within the goals, 1 beyond them or some requests failed, 78 the machine lacks something.
 */
import { parseArgs } from 'node:util';
import { httpStatus } from './harness/child.ts';
import { describeMachine } from './harness/machine.ts';
import { type Bench, type Measurement, measureInterleaved, warmUp } from './harness/measure.ts';
import { runBenchmark, type Stage } from './harness/stage.ts';
import { type Summary, summarize } from './harness/statistics.ts';
import { readWorkload } from './harness/workloads.ts';
import { startTracesSink } from './observability/traces-sink.ts';
import { meshWith } from './peers/mesh.ts';
import type { RunningPeer } from './peers/peer.ts';

const PER_TOKEN = 'paced-c256';
const PER_REQUEST = 'unary-c32';
/** What everything on may add: a share of the CPU of a token, and CPU of a request in microseconds. */
const GOALS = { tokenShare: 0.1, requestUs: 100 };
/** Three times as often as Prometheus is told to by deploy/prometheus. */
const SCRAPE_EVERY_MS = 5_000;

const LOGS_OFF = { log_dir: 'none', log_level: 'error' };
const METRICS_OFF = { metrics_access: 'off' };
const { values: options } = parseArgs({ options: { repetitions: { type: 'string', default: '5' } } });

/** Each with one part on, all off, all on: every request traced, metrics scraped, log files written. */
function peersOf(tracesUrl: string) {
  const traces = { traces_endpoint: tracesUrl, traces_sampler: 'always_on' };
  return [
    meshWith('off', { observability: { ...LOGS_OFF, ...METRICS_OFF } }),
    meshWith('metrics', { observability: LOGS_OFF }),
    meshWith('logs', { observability: METRICS_OFF }),
    meshWith('traces', { observability: { ...LOGS_OFF, ...METRICS_OFF, ...traces } }),
    meshWith('all', { observability: traces }),
  ];
}

async function main(stage: Stage): Promise<boolean> {
  const sink = await startTracesSink(stage.scratch);
  const peers = new Map<string, RunningPeer>();
  for (const peer of peersOf(sink.url)) peers.set(peer.name, await stage.start(peer));
  const bench = stage.benchOf(peers);
  await warmUp(bench);
  const stopScraping = scrapeRegularly(bench);
  const workloads = [readWorkload(PER_TOKEN), readWorkload(PER_REQUEST)];
  const measured = await measureInterleaved(
    bench,
    workloads,
    Number(options.repetitions),
    ({ peer, load, workload }) => {
      console.error(
        `${workload} ${peer}${load.errors > 0 ? `: ${load.errors} errors, first: ${load.firstError}` : ''}`,
      );
    },
  );
  stopScraping();
  if ((await sink.bytes()) === 0) throw new Error('no traces arrived: nothing was measured of them');
  return report([...bench.peers.keys()], measured);
}

/** As Prometheus would; a mesh without metrics answers 404. */
function scrapeRegularly({ peers }: Bench): () => void {
  const timer = setInterval(() => {
    for (const { port } of peers.values()) void httpStatus(`http://127.0.0.1:${port}/metrics`);
  }, SCRAPE_EVERY_MS);
  return () => clearInterval(timer);
}

function report(peers: readonly string[], measured: readonly Measurement[]): boolean {
  const about = Object.entries(describeMachine()).map(([name, value]) => `${name} ${value}`);
  console.log(`${about.join(', ')}, ${options.repetitions} repetitions\n`);
  console.log('| on | CPU µs/token | added, % | CPU µs/request | added, µs |\n| --- | --: | --: | --: | --: |');
  let isWithin = measured.every(({ load }) => load.errors === 0);
  for (const peer of peers) {
    const token = ({ cpuUs, load }: Measurement) => cpuUs / load.tokens;
    const request = ({ cpuUs, load }: Measurement) => cpuUs / load.requests;
    const addedShare = pairs(measured, PER_TOKEN, peer, (run, off) => token(run) / token(off) - 1);
    const addedUs = pairs(measured, PER_REQUEST, peer, (run, off) => request(run) - request(off));
    const cells = [
      told(pairs(measured, PER_TOKEN, peer, token), 1, 1),
      told(addedShare, 100, 1),
      told(pairs(measured, PER_REQUEST, peer, request), 1, 0),
      told(addedUs, 1, 0),
    ];
    console.log(`| ${peer} | ${cells.join(' | ')} |`);
    if (peer === 'all') {
      isWithin &&= addedShare.median <= GOALS.tokenShare && addedUs.median <= GOALS.requestUs;
    }
  }
  console.log(`\nGoals of all: ≤ ${GOALS.tokenShare * 100} % per token, ≤ ${GOALS.requestUs} µs per request.`);
  return isWithin;
}

/** A figure of one mesh beside the one with everything off, of the same repetition. */
function pairs(
  measured: readonly Measurement[],
  workload: string,
  peer: string,
  figure: (run: Measurement, off: Measurement) => number,
): Summary {
  const of = (name: string) => measured.filter((run) => run.workload === workload && run.peer === name);
  const off = of('off');
  return summarize(of(peer).flatMap((run, at) => (off[at] ? [figure(run, off[at])] : [])));
}

function told({ median, min, max }: Summary, factor: number, digits: number): string {
  const [middle, low, high] = [median, min, max].map((value) => (value * factor).toFixed(digits));
  return `${middle} (${low}–${high})`;
}

await runBenchmark({}, main);
