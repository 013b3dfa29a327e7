import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { runLoad } from '../harness/load.ts';
import type { Bench } from '../harness/measure.ts';
import { readWorkload } from '../harness/workloads.ts';

/** Streams that a client left in their middle, and what the engine saw of it, of one peer in one repetition. */
export interface LeavingFigures {
  readonly repetition: number;
  readonly peer: string;
  readonly errors: number;
  readonly left: number;
  /** From the client's close of its socket to the engine's sight of its own, of those streams that the engine saw left. */
  readonly engineIdleAfterUs: readonly number[];
}

const seenSchema = z.object({ running: z.number(), left: z.array(z.tuple([z.number(), z.number()])) });

/** The streams end by themselves after 8 s: what the engine has not seen left by then, it computed for nobody. */
const GIVE_UP_MS = 15_000;
const POLL_MS = 50;

/** How long after a client left its engine could stop, for each peer in turn. */
export async function measureLeaving(bench: Bench, enginePort: number, repetition: number): Promise<LeavingFigures[]> {
  const workload = readWorkload('leave-c16');
  const all: LeavingFigures[] = [];
  for (const [peer, target] of bench.peers) {
    await waitForEngine(enginePort);
    const places = { core: bench.loadCore, scratch: bench.scratch, signal: bench.signal };
    const { left, errors } = await runLoad(bench.loadProgram, target, workload, places);
    const seenUs = new Map(await waitForEngine(enginePort));
    const engineIdleAfterUs = left.flatMap(([number, atUs]) => {
      const seenAtUs = seenUs.get(number);
      return seenAtUs === undefined ? [] : [Math.max(0, seenAtUs - atUs)];
    });
    all.push({ repetition, peer, errors, left: left.length, engineIdleAfterUs });
  }
  return all;
}

/** Resolves when no stream runs, to those that were left since this was last called. */
async function waitForEngine(enginePort: number): Promise<[number, number][]> {
  const deadlineMs = performance.now() + GIVE_UP_MS;
  const left: [number, number][] = [];
  for (;;) {
    const seen = seenSchema.parse(await (await fetch(`http://127.0.0.1:${enginePort}/left`)).json());
    left.push(...seen.left);
    if (seen.running === 0 || performance.now() > deadlineMs) return left;
    await delay(POLL_MS);
  }
}
