import type { NativeContext } from './llama-binding.ts';

/** Above this a decode step reads so much memory that starting threads is nothing against it: all cores, unmeasured. */
const MEASURED_MODEL_BYTES = 256 * 1024 * 1024;
const STEPS_PER_CANDIDATE = 4;
const CANDIDATE_BUDGET_MS = 20;

/**
 * The thread count with the fastest decode step, for a small model at most one less than there are cores.
 *
 * llama.cpp starts and joins its threads at every step and lets them spin at each of the graph's barriers. When one of
 * them has to wait for its core, all wait: on 2 cores the model that ships makes 1,700 tokens per second on one thread, and
 * on two 400 as soon as anybody listens, because its tokens are written and read on those cores too. So one core is left
 * to the others, and the rest is measured: 1, 2, 4, ... threads until a count is no faster, at most 20 ms each (plus the
 * step that is running).
 */
export async function chooseThreads(context: NativeContext, modelBytes: number, cores: number): Promise<number> {
  if (modelBytes > MEASURED_MODEL_BYTES || cores <= 1) return Math.max(1, cores);
  const most = cores - 1;
  if (most === 1) return 1;
  let best = { threads: 1, stepMs: await fastestStepMs(context, 1) };
  for (let threads = 2; ; threads = Math.min(threads * 2, most)) {
    const stepMs = await fastestStepMs(context, threads);
    if (stepMs >= best.stepMs) break;
    best = { threads, stepMs };
    if (threads === most) break;
  }
  context.disposeSequence(0);
  return best.threads;
}

/** The minimum of a few steps: noise only ever adds. */
async function fastestStepMs(context: NativeContext, threads: number): Promise<number> {
  context.setThreads(threads);
  context.disposeSequence(0);
  const deadline = performance.now() + CANDIDATE_BUDGET_MS;
  let fastest = Number.POSITIVE_INFINITY;
  for (let position = 0; position < STEPS_PER_CANDIDATE; position++) {
    context.initBatch(1);
    context.addToBatch(0, position, Uint32Array.of(0), Uint32Array.of(0));
    const start = performance.now();
    await context.decodeBatch();
    const end = performance.now();
    fastest = Math.min(fastest, end - start);
    if (end > deadline) break;
  }
  return fastest;
}
