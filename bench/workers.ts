/**
 * Measures what `server.workers` costs and how evenly workers are used: all services in one process beside two workers, in turn,
 * on the same CPU. Prints Markdown; see bench/README.md.
 * Usage: sh bin/node.sh bench/workers.ts [--repetitions 3] [--workers 2]
 */
import { readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import { parseArgs } from 'node:util';
import { connectionsOf } from '../test/harness/connections.ts';
import { runLoad } from './harness/load.ts';
import { describeMachine } from './harness/machine.ts';
import { processTree } from './harness/process-tree.ts';
import { LOAD_CORE, runBenchmark, type Stage } from './harness/stage.ts';
import { summarize } from './harness/statistics.ts';
import { readWorkload, type Workload } from './harness/workloads.ts';
import { mesh } from './peers/mesh.ts';
import type { RunningPeer } from './peers/peer.ts';

const CONNECTIONS = 256;

const { values: options } = parseArgs({
  options: { repetitions: { type: 'string', default: '3' }, workers: { type: 'string', default: '2' } },
});

const unary: Workload = { ...readWorkload('unary-c32'), name: 'unary-c256', concurrency: CONNECTIONS, seconds: 4 };
const paced = readWorkload('paced-c256');

const VARIANTS: Readonly<Record<string, Record<string, string>>> = {
  'one process': {},
  [`${options.workers} workers`]: { MESH_WORKERS: options.workers },
};

interface Figures {
  /** CPU time of each process, in nanoseconds, the main process first. */
  readonly cpuNs: readonly number[];
  /** Requests, or tokens of streams. */
  readonly units: number;
  readonly errors: number;
  /** Connections of each process while the load ran, in the same order. */
  readonly connections: readonly number[];
}

function cpuOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce(
    (sum, id) => sum + Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'utf8').split(' ')[0]),
    0,
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

async function measure(peer: RunningPeer, run: () => Promise<{ units: number; errors: number }>): Promise<Figures> {
  const pids = processTree(peer.child?.pid ?? 0);
  const before = pids.map(cpuOf);
  let connections: number[] = [];
  const timer = setInterval(() => {
    const now = pids.map((pid) => connectionsOf(pid, peer.port));
    if (sum(now) > sum(connections)) connections = now;
  }, 500);
  const { units, errors } = await run();
  clearInterval(timer);
  return { cpuNs: pids.map((pid, index) => cpuOf(pid) - (before[index] ?? 0)), units, errors, connections };
}

/** Requests that cost nothing but a connection each. */
async function connect(port: number, seconds: number): Promise<{ units: number; errors: number }> {
  const end = performance.now() + seconds * 1_000;
  let units = 0;
  let errors = 0;
  const one = () =>
    new Promise<void>((resolve) => {
      const request = http.get({ port, host: '127.0.0.1', path: '/healthz', agent: false }, (response) => {
        response.resume().once('end', resolve);
        units += 1;
      });
      request.once('error', () => {
        errors += 1;
        resolve();
      });
    });
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (performance.now() < end) await one();
    }),
  );
  return { units, errors };
}

type Load = (peer: RunningPeer) => Promise<{ units: number; errors: number }>;

async function main(stage: Stage): Promise<boolean> {
  const peers = new Map<string, RunningPeer>();
  for (const [name, variables] of Object.entries(VARIANTS)) peers.set(name, await stage.start(mesh, variables));
  const load = async (peer: RunningPeer, workload: Workload) => {
    const places = { core: LOAD_CORE, scratch: stage.scratch, signal: new AbortController().signal };
    const { requests, tokens, errors } = await runLoad(stage.native.load, peer, workload, places);
    return { units: workload.body.stream ? tokens : requests, errors };
  };
  const loads: Record<string, Load> = {
    'unary-c256, per request': (peer) => load(peer, unary),
    'paced-c256, per token': (peer) => load(peer, paced),
    'a connection and a request each': (peer) => connect(peer.port, 3),
  };
  for (const peer of peers.values()) await load(peer, { ...unary, name: 'warm-up', seconds: 3 });
  const all: (Figures & { load: string; peer: string })[] = [];
  for (let repetition = 1; repetition <= Number(options.repetitions); repetition += 1) {
    for (const [loadName, run] of Object.entries(loads)) {
      for (const [peerName, peer] of peers) {
        all.push({ load: loadName, peer: peerName, ...(await measure(peer, () => run(peer))) });
      }
    }
  }
  report(all);
  return all.every(({ errors }) => errors === 0);
}

function report(all: readonly (Figures & { load: string; peer: string })[]): void {
  console.log(`${JSON.stringify(describeMachine())}\n`);
  console.log('| load | processes | CPU µs | of it the main one | CPU of workers | connections of workers | errors |');
  console.log('|---|---|--:|--:|---|---|--:|');
  for (const { load, peer } of all.slice(0, new Set(all.map((one) => one.load + one.peer)).size)) {
    const runs = all.filter((one) => one.load === load && one.peer === peer);
    const { median, min, max } = summarize(runs.map(({ cpuNs, units }) => sum(cpuNs) / units / 1_000));
    const main = summarize(runs.map(({ cpuNs, units }) => (cpuNs[0] ?? 0) / units / 1_000)).median;
    const shares = runs.map(({ cpuNs }) => cpuNs.slice(1).map((ns) => Math.round((100 * ns) / sum(cpuNs.slice(1)))));
    const cells = [
      ...[load, peer, `${median.toFixed(1)} (${min.toFixed(1)}–${max.toFixed(1)})`, main.toFixed(1)],
      shares.map((share) => share.join(':')).join(', '),
      runs.map(({ connections }) => connections.slice(1).join(':')).join(', '),
      sum(runs.map(({ errors }) => errors)),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}

await runBenchmark({}, main);
