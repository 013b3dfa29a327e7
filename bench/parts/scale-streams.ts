import { setTimeout as delay } from 'node:timers/promises';
import { runLoad } from '../harness/load.ts';
import type { Bench } from '../harness/measure.ts';
import { cpuBetween, readTreeUsage } from '../harness/process-tree.ts';
import type { CurvePoint } from './curve.ts';
import { rampOf, steadyStreams } from './streams-per-core.ts';

/** Ten tokens a second each, so that the core is busy with 2,000 streams and not full. */
const TOKEN_EVERY_MS = 100;
/** How many streams, how long they take to start, and how long tokens are counted. */
export interface Span {
  readonly counts: readonly number[];
  readonly rampMs: number;
  readonly settleMs: number;
  readonly countMs: number;
}

export const WHOLE_SPAN: Span = { counts: [1, 64, 512, 2_000], rampMs: 1_500, settleMs: 500, countMs: 3_000 };
export const QUICK_SPAN: Span = { counts: [1, 64, 200], rampMs: 300, settleMs: 200, countMs: 600 };
/** The load client needs some time until it starts its clock. */
const MARGIN_MS = 150;

/** CPU per token while so many streams run: none starts or ends meanwhile, so the request's own cost is not in it. */
export async function streamPoints(bench: Bench, span: Span, repetition: number): Promise<CurvePoint[]> {
  const { settleMs, countMs } = span;
  const points: CurvePoint[] = [];
  for (const streams of span.counts) {
    for (const [peer, target] of bench.peers) {
      const workload = steadyStreams(streams, TOKEN_EVERY_MS, span);
      const places = { core: bench.loadCore, scratch: bench.scratch, signal: bench.signal };
      const running = runLoad(bench.loadProgram, target, workload, places);
      await delay(rampOf(streams, span.rampMs) + settleMs + MARGIN_MS);
      const before = readTreeUsage(target.child?.pid);
      const fromMs = performance.now();
      await delay(countMs - 2 * MARGIN_MS);
      const after = readTreeUsage(target.child?.pid);
      const seconds = (performance.now() - fromMs) / 1e3;
      const { countedTokens, errors } = await running;
      const tokens = (countedTokens / (countMs / 1e3)) * seconds;
      points.push({ peer, repetition, x: streams, y: cpuBetween(before, after) / 1e3 / tokens, errors });
    }
  }
  return points;
}
