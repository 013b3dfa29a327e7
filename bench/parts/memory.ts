import { runLoad } from '../harness/load.ts';
import type { Bench } from '../harness/measure.ts';
import { readTreeUsage } from '../harness/process-tree.ts';
import { summarize } from '../harness/statistics.ts';
import { readWorkload } from '../harness/workloads.ts';

/** Resident memory of the mesh while requests come and go. */
export interface MemoryOverTime {
  /** Requests until the sample, from the time of it: they come evenly. */
  readonly samples: readonly { readonly requests: number; readonly rssBytes: number }[];
  readonly requests: number;
  readonly errors: number;
}

const SAMPLE_EVERY_MS = 100;

/** Resident memory of one peer over so many short streams, 32 at a time. */
export async function memoryOverRequests(bench: Bench, peer: string, requests: number): Promise<MemoryOverTime> {
  const target = bench.peers.get(peer);
  if (target === undefined) throw new Error(`no peer ${peer}`);
  const burst = readWorkload('warm-up');
  const body = { ...burst.body, max_tokens: 32 };
  const workload = { ...burst, name: 'memory', concurrency: 32, requests, seconds: 110, body };
  const taken: { atUs: number; rssBytes: number }[] = [];
  const sample = () => {
    const { rssBytes } = readTreeUsage(target.child?.pid);
    taken.push({ atUs: Number(process.hrtime.bigint() / 1000n), rssBytes });
  };
  const timer = setInterval(sample, SAMPLE_EVERY_MS);
  const places = { core: bench.loadCore, scratch: bench.scratch, signal: bench.signal };
  const figures = await runLoad(bench.loadProgram, target, workload, places).finally(() => clearInterval(timer));
  sample();
  const perUs = figures.requests / (figures.seconds * 1e6);
  const samples = taken
    .filter(({ atUs }) => atUs >= figures.startedAtUs)
    .map(({ atUs, rssBytes }) => ({
      requests: Math.min(figures.requests, Math.round((atUs - figures.startedAtUs) * perUs)),
      rssBytes,
    }));
  return { samples, requests: figures.requests, errors: figures.errors };
}

/** How the memory of the second half lies: its slope by least squares, and its end beside its beginning. */
export function growthOf({ samples, requests }: MemoryOverTime): { mibPer1000Requests: number; lastOfHalf: number } {
  const half = samples.filter((sample) => sample.requests >= requests / 2);
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(half.map((sample) => sample.requests)), mean(half.map(({ rssBytes }) => rssBytes))];
  const over = half.reduce((sum, sample) => sum + (sample.requests - x) * (sample.rssBytes - y), 0);
  const under = half.reduce((sum, sample) => sum + (sample.requests - x) ** 2, 0);
  const part = Math.max(1, Math.floor(half.length / 4));
  const median = (some: typeof half) => summarize(some.map(({ rssBytes }) => rssBytes)).median;
  return {
    mibPer1000Requests: under === 0 ? 0 : ((over / under) * 1_000) / 2 ** 20,
    lastOfHalf: median(half.slice(-part)) / median(half.slice(0, part)),
  };
}
