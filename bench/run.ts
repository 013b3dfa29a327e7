/**
 * Measures the mesh beside other gateways in one interleaved run; see bench/README.md.
 * Usage: npm run bench [-- --quick] [--peers a,b] [--workloads a,b] [--parts a,b] [--repetitions 3] [--startup-runs 3] [--publish]
 *        npm run bench -- --publish-from bench/results/<time>/results.json
 * Exit codes: 0 measured, 1 some requests failed or a peer broke, 78 the machine lacks something.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stopAllChildren } from './harness/child.ts';
import { describeMachine } from './harness/machine.ts';
import { isWithin, measureInterleaved, warmUp } from './harness/measure.ts';
import { missingRequirements } from './harness/native.ts';
import { type BenchOptions, type PartName, readOptions } from './harness/options.ts';
import { readTreeUsage } from './harness/process-tree.ts';
import { errorsOf, type IdleMemory, type Results, readResults, writeResults } from './harness/results.ts';
import { environment, onStage, type Stage } from './harness/stage.ts';
import { measureStartup } from './harness/startup.ts';
import { type LeavingFigures, measureLeaving } from './parts/leaving.ts';
import { measureScale } from './parts/scale.ts';
import { QUICK_TRIAL, SEARCHED, type StreamsPerCore, streamsPerCore, WHOLE_TRIAL } from './parts/streams-per-core.ts';
import { availablePeers } from './peers/all.ts';
import type { RunningPeer } from './peers/peer.ts';
import { publish } from './report/publish.ts';
import { writeReport } from './report/report.ts';

const IDLE_MS = 5_000;
/** A peer that does not let go of its engine takes 15 s each time. */
const LEAVING_AT_MOST = 2;
const OF_GATEWAYS: readonly PartName[] = ['workloads', 'leaving', 'streams-per-core'];
const NO_GATEWAYS: Gateways = { beyond: {}, measurements: [], idle: [], leaving: [], streamsPerCore: [] };

type Gateways = Pick<Results, 'beyond' | 'measurements' | 'idle' | 'leaving' | 'streamsPerCore'>;

const interruption = new AbortController();

async function main(options: BenchOptions): Promise<number> {
  if (options.publishFrom !== undefined) {
    publish(readResults(options.publishFrom));
    return 0;
  }
  const lacks = missingRequirements({});
  if (lacks.length > 0) {
    console.error(`The benchmark needs:\n${lacks.map((line) => `  ${line}`).join('\n')}`);
    return 78;
  }
  const results = await measure(options);
  const directory = join(import.meta.dirname, 'results', new Date().toISOString().replaceAll(':', '-'));
  writeResults(join(directory, 'results.json'), results);
  console.log(writeReport(results, directory));
  console.error(`\nAll figures, tables and plots: ${directory}`);
  if (options.publish) publish(results);
  return errorsOf(results) > 0 ? 1 : 0;
}

async function measure(options: BenchOptions): Promise<Results> {
  const startedMs = performance.now();
  const { extent, parts, workloads } = options;
  const { peers, missing } = availablePeers(options.peers);
  const machine = describeMachine();
  const tell = (what: string) => console.error(`${((performance.now() - startedMs) / 60_000).toFixed(1)} min: ${what}`);
  const gateways = OF_GATEWAYS.some((part) => parts.has(part))
    ? await onStage(interruption.signal, (stage) => measureGateways(stage, { ...options, peers }, tell))
    : NO_GATEWAYS;
  const scale = parts.has('scale')
    ? await onStage(interruption.signal, (stage) => measureScale(stage, extent, (what) => tell(`scale: ${what}`)))
    : undefined;
  const startup = parts.has('start')
    ? await onStage(interruption.signal, ({ scratch }) => measureStartup(scratch, options.startupRuns, environment))
    : undefined;
  return {
    ...{ machine, minutes: (performance.now() - startedMs) / 60_000, ...extent },
    versions: Object.fromEntries(peers.flatMap(({ name, version }) => (version ? [[name, version()]] : []))),
    ...{ missing, workloads, ...gateways, scale, startup },
  };
}

async function measureGateways(stage: Stage, options: BenchOptions, tell: (what: string) => void): Promise<Gateways> {
  const { extent, parts, workloads } = options;
  const running = new Map<string, RunningPeer>();
  for (const peer of options.peers) {
    tell(`start ${peer.name}`);
    running.set(peer.name, await stage.start(peer));
  }
  await delay(extent.isQuick ? 0 : IDLE_MS);
  const idle = [...running].flatMap(([peer, { child }]): IdleMemory[] =>
    child === undefined ? [] : [{ peer, rssBytes: readTreeUsage(child.pid).rssBytes }],
  );
  const bench = stage.benchOf(running);
  await warmUp(bench, extent.warmUpRequests);
  const measurements = parts.has('workloads')
    ? await measureInterleaved(bench, workloads, extent.repetitions, ({ repetition, workload, peer, load }) => {
        const problem = load.errors > 0 ? `: ${load.errors} errors, first: ${load.firstError}` : '';
        tell(`${repetition}/${extent.repetitions} ${workload} ${peer}${problem}`);
      })
    : [];
  const leaving: LeavingFigures[] = [];
  for (
    let repetition = 1;
    parts.has('leaving') && repetition <= Math.min(extent.repetitions, LEAVING_AT_MOST);
    repetition++
  ) {
    tell(`leaving ${repetition}`);
    leaving.push(...(await measureLeaving(bench, stage.enginePort, repetition)));
  }
  const perCore: StreamsPerCore[] = [];
  for (const peer of parts.has('streams-per-core') ? SEARCHED.filter((name) => running.has(name)) : []) {
    tell(`streams per core ${peer}`);
    perCore.push(await streamsPerCore(bench, peer, extent.isQuick ? QUICK_TRIAL : WHOLE_TRIAL));
  }
  const beyond = Object.fromEntries(
    workloads.map((workload) => [
      workload.name,
      [...running].filter(([, peer]) => !isWithin(peer, workload)).map(([name]) => name),
    ]),
  );
  return { beyond, measurements, idle, leaving, streamsPerCore: perCore };
}

// Ending the children makes whatever waits for them fail, so the run unwinds through its own clean-up.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    interruption.abort(new Error(`interrupted by ${signal}`));
    stopAllChildren();
  });
}

try {
  process.exitCode = await main(readOptions(process.argv.slice(2)));
} catch (error) {
  console.error(interruption.signal.aborted ? interruption.signal.reason.message : error);
  process.exitCode = 1;
}
