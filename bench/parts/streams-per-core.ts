import { runLoad } from '../harness/load.ts';
import type { Bench } from '../harness/measure.ts';
import { readWorkload, type Workload } from '../harness/workloads.ts';
import type { RunningPeer } from '../peers/peer.ts';

/** One number of streams, tried once. */
export interface StreamsTrial {
  readonly streams: number;
  readonly tokens: number;
  /** Tokens that took more than 20 ms from the engine's write to the client's read. */
  readonly late: number;
  readonly longestMs: number;
  readonly errors: number;
}

export interface StreamsPerCore {
  readonly peer: string;
  /** The most streams of those that were tried of which no token was late; 0: none of them. */
  readonly streams: number;
  /** The same with one token in a thousand late. */
  readonly streamsNearly: number;
  readonly trials: readonly StreamsTrial[];
}

/** How a number of streams is tried. */
export interface TrialSize {
  /** Numbers of streams, rising. */
  readonly levels: readonly number[];
  /** The streams start spread over this time, or longer where they are many. */
  readonly rampMs: number;
  /** How long tokens count. */
  readonly countMs: number;
}

/** The last number is what engine and load client can do on the other core. */
const LEVELS = [50, 100, 200, 300, 400, 500, 600, 700, 800, 1_000, 1_200];
/** Peers that are searched; haproxy lies where nginx does, and the others far below the mesh. */
export const SEARCHED = ['direct', 'nginx', 'portkey', 'mesh', 'mesh-split', 'mesh-apart'];
const TOKEN_EVERY_MS = 20;
/** From the last stream's start until tokens count. */
const SETTLE_MS = 500;
export const WHOLE_TRIAL: TrialSize = { levels: LEVELS, rampMs: 2_000, countMs: 3_000 };
export const QUICK_TRIAL: TrialSize = { levels: [20, 50], rampMs: 200, countMs: 300 };
/** A share of late tokens that one hiccup of the machine may have caused: such a number is tried once more. */
const HICCUP = 0.001;

/**
 * The most streams of 50 tokens a second on one core with no token late by more than 20 ms. The streams start one after the other;
 * tokens count from half a second later, while all streams run and none starts or ends.
 */
export async function streamsPerCore(bench: Bench, peer: string, size: TrialSize): Promise<StreamsPerCore> {
  const target = bench.peers.get(peer);
  if (target === undefined) throw new Error(`no peer ${peer}`);
  const trials: StreamsTrial[] = [];
  let [low, high] = [-1, size.levels.length];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await holds(bench, target, { ...size, streams: size.levels[middle] ?? 0 }, trials)) low = middle;
    else high = middle;
  }
  const nearly = trials.filter(({ late, tokens, errors }) => errors === 0 && late <= tokens * HICCUP);
  return {
    ...{ peer, streams: size.levels[low] ?? 0, trials },
    streamsNearly: Math.max(0, ...nearly.map(({ streams }) => streams)),
  };
}

async function holds(
  bench: Bench,
  target: RunningPeer,
  size: TrialSize & { readonly streams: number },
  trials: StreamsTrial[],
): Promise<boolean> {
  const first = await attempt(bench, target, size);
  trials.push(first);
  if (first.late === 0 || first.late > first.tokens * HICCUP) return first.late === 0 && first.errors === 0;
  const second = await attempt(bench, target, size);
  trials.push(second);
  return second.late === 0 && second.errors === 0;
}

async function attempt(
  bench: Bench,
  target: RunningPeer,
  { streams, rampMs, countMs }: TrialSize & { readonly streams: number },
): Promise<StreamsTrial> {
  const workload = steadyStreams(streams, TOKEN_EVERY_MS, { rampMs, settleMs: SETTLE_MS, countMs });
  const places = { core: bench.loadCore, scratch: bench.scratch, signal: bench.signal };
  const figures = await runLoad(bench.loadProgram, target, workload, places);
  return {
    ...{ streams, tokens: figures.countedTokens, late: figures.lateTokens, errors: figures.errors },
    longestMs: figures.transitMaxUs / 1e3,
  };
}

/** Between two starts: what a request costs, many times a second, is not what is measured here, and no queue may be left of it. */
const START_EVERY_MS = 2.5;

/** How long so many streams take to start. */
export function rampOf(streams: number, leastMs: number): number {
  return Math.max(leastMs, Math.ceil(streams * START_EVERY_MS));
}

/** Streams that start one after the other and all run while tokens count. */
export function steadyStreams(
  streams: number,
  tokenEveryMs: number,
  span: { readonly rampMs: number; readonly settleMs: number; readonly countMs: number },
): Workload {
  const paced = readWorkload('paced-c256');
  const { settleMs, countMs } = span;
  const rampMs = rampOf(streams, span.rampMs);
  const from = rampMs + settleMs;
  const longestMs = from + countMs + settleMs;
  return {
    ...paced,
    ...{ name: `steady-${streams}`, concurrency: streams, requests: streams, rampMs, seconds: longestMs / 1e3 },
    countMs: { from, until: from + countMs },
    body: { ...paced.body, max_tokens: Math.ceil(longestMs / tokenEveryMs), seed: tokenEveryMs },
  };
}
