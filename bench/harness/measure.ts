import type { RunningPeer } from '../peers/peer.ts';
import { type LoadFigures, runLoad } from './load.ts';
import { cpuBetween, readTreeUsage, resetPeakMemory } from './process-tree.ts';
import { readWorkload, type Workload } from './workloads.ts';

/** One peer under one workload, once. CPU is that of the peer's whole process tree during the run. */
export interface Measurement {
  readonly repetition: number;
  readonly workload: string;
  readonly peer: string;
  readonly load: LoadFigures;
  readonly cpuUs: number;
  /** Highest resident memory during the run: sum of each process's own peak. */
  readonly peakRssBytes: number;
  /** CPU of engine and load client over the time of the run: near 1 the peer was not the bottleneck. */
  readonly loadCoreShare: number;
}

export interface Bench {
  readonly peers: ReadonlyMap<string, RunningPeer>;
  readonly enginePid: number;
  readonly loadProgram: string;
  /** CPU of the load client; the engine is bound to the same. */
  readonly loadCore: number;
  readonly scratch: string;
  /** Ends the run early. */
  readonly signal: AbortSignal;
}

/** The longest that a slow peer may take for the requests until its code is compiled. */
const WARM_UP_SECONDS = 60;
const WARM_UP_TOKENS = 50;

/** How much of everything there is. */
export interface Extent {
  readonly repetitions: number;
  /** Until a peer's code is compiled. */
  readonly warmUpRequests: number;
  /** A smoke run: everything once and short, whose figures mean nothing. */
  readonly isQuick: boolean;
}

/**
 * Brings every peer to its steady state: compiled code, open connections to the engine. Requests are counted, not seconds: on
 * a busy machine a second warms nothing.
 */
export async function warmUp(bench: Bench, warmUpRequests = 3_000): Promise<void> {
  const paced = { ...readWorkload('paced-c32'), seconds: 1, rampMs: 100 };
  const short = { ...paced, body: { ...paced.body, max_tokens: WARM_UP_TOKENS } };
  for (const peer of bench.peers.values()) {
    const requests = Math.min(warmUpRequests, peer.atMost?.warmUpRequests ?? warmUpRequests);
    const unary = { ...readWorkload('unary-c32'), requests, seconds: WARM_UP_SECONDS };
    for (const workload of [unary, readWorkload('warm-up'), short]) await load(bench, peer, workload);
  }
}

/** Whether a workload is within what a peer holds by far. */
export function isWithin({ atMost }: Pick<RunningPeer, 'atMost'>, workload: Workload): boolean {
  if (atMost === undefined || workload.kind === 'unary') return true;
  const { requestsPerSecond, concurrency } = workload;
  return requestsPerSecond === undefined
    ? concurrency <= atMost.streams
    : requestsPerSecond <= atMost.requestsPerSecond;
}

/**
 * Runs every workload on every peer in turn, `repetitions` times over, so that a slow minute of the machine falls on
 * all peers alike.
 */
export async function measureInterleaved(
  bench: Bench,
  workloads: readonly Workload[],
  repetitions: number,
  onMeasured: (measurement: Measurement) => void,
): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    for (const workload of workloads) {
      if (repetition > (workload.repetitionsAtMost ?? repetitions)) continue;
      for (const [name, peer] of bench.peers) {
        if (!isWithin(peer, workload)) continue;
        const measurement = { repetition, ...(await measureOnce(bench, workload, name)) };
        measurements.push(measurement);
        onMeasured(measurement);
      }
    }
  }
  return measurements;
}

async function measureOnce(bench: Bench, workload: Workload, name: string): Promise<Omit<Measurement, 'repetition'>> {
  const peer = bench.peers.get(name);
  if (peer === undefined) throw new Error(`no peer ${name}`);
  const pid = peer.child?.pid;
  resetPeakMemory(pid);
  const engineBefore = readTreeUsage(bench.enginePid);
  const before = readTreeUsage(pid);
  const figures = await load(bench, peer, workload);
  const after = readTreeUsage(pid);
  const engineCpuSeconds = cpuBetween(engineBefore, readTreeUsage(bench.enginePid)) / 1e9;
  return {
    workload: workload.name,
    peer: name,
    load: figures,
    cpuUs: cpuBetween(before, after) / 1e3,
    peakRssBytes: after.peakRssBytes,
    loadCoreShare: (engineCpuSeconds + figures.clientCpuSeconds) / figures.seconds,
  };
}

async function load(bench: Bench, peer: RunningPeer, workload: Workload): Promise<LoadFigures> {
  return runLoad(bench.loadProgram, peer, workload, {
    core: bench.loadCore,
    scratch: bench.scratch,
    signal: bench.signal,
  });
}
