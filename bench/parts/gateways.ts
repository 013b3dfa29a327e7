import { setTimeout as delay } from 'node:timers/promises';
import { isWithin, measureInterleaved, warmUp } from '../harness/measure.ts';
import type { BenchOptions, PartName } from '../harness/options.ts';
import { readTreeUsage } from '../harness/process-tree.ts';
import type { IdleMemory, Results } from '../harness/results.ts';
import type { Stage } from '../harness/stage.ts';
import { startTracesSink } from '../observability/traces-sink.ts';
import type { RunningPeer } from '../peers/peer.ts';
import { type LeavingFigures, measureLeaving } from './leaving.ts';
import { QUICK_TRIAL, SEARCHED, type StreamsPerCore, streamsPerCore, WHOLE_TRIAL } from './streams-per-core.ts';

/** What is measured on all peers side by side. */
export type Gateways = Pick<Results, 'beyond' | 'measurements' | 'idle' | 'leaving' | 'streamsPerCore'>;

/** The parts that are. */
export const OF_GATEWAYS: readonly PartName[] = ['workloads', 'leaving', 'streams-per-core'];

export const NO_GATEWAYS: Gateways = { beyond: {}, measurements: [], idle: [], leaving: [], streamsPerCore: [] };

const IDLE_MS = 5_000;
/** A peer that does not let go of its engine takes 15 s each time. */
const LEAVING_AT_MOST = 2;

/** Starts all peers, measures what was asked for on them in turn, and leaves them running. `tell` hears what comes next. */
export async function measureGateways(
  stage: Stage,
  options: BenchOptions,
  tell: (what: string) => void,
): Promise<Gateways> {
  const { extent, parts, workloads } = options;
  const running = new Map<string, RunningPeer>();
  const traces = await startTracesSink(stage.scratch);
  for (const peer of options.peers) {
    tell(`start ${peer.name}`);
    running.set(peer.name, await stage.start(peer, peer.tracesVariables?.(traces.url)));
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
  if (options.peers.some(({ tracesVariables }) => tracesVariables) && (await traces.bytes()) === 0) {
    throw new Error('no traces arrived: what the report says of them would not be so');
  }
  const beyond = Object.fromEntries(
    workloads.map((workload) => [
      workload.name,
      [...running].filter(([, peer]) => !isWithin(peer, workload)).map(([name]) => name),
    ]),
  );
  return { beyond, measurements, idle, leaving, streamsPerCore: perCore };
}
