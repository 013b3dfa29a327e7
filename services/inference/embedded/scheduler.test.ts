import { expect, test } from 'vitest';
import type { NativeContext } from './llama-binding.ts';
import { createScheduler } from './scheduler.ts';
import type { GenerationTask } from './slot.ts';
import type { TokenSampler } from './token-sampler.ts';

/** A native context and a sampler that only note how many samplings overlap; the real one loses logits about once in 100 such steps. */
function recordingContext() {
  let inFlight = 0;
  let logits = 0;
  const overlaps: number[] = [];
  const context: NativeContext = {
    init: async () => true,
    dispose: async () => {},
    getContextSize: () => 1024,
    setThreads: () => {},
    initBatch: () => {
      logits = 0;
    },
    addToBatch: (_sequence, _position, _tokens, wanted) => wanted.map(() => logits++),
    decodeBatch: () => new Promise((resolve) => setImmediate(resolve)),
    sampleToken: (): Promise<never> => Promise.reject(new Error('only the sampler samples')),
    disposeSequence: () => {},
    removeTokenCellsFromSequence: () => true,
  };
  const sampler: TokenSampler = {
    async sample(logitIndex) {
      overlaps[logitIndex] = inFlight++;
      await new Promise((resolve) => setImmediate(resolve));
      inFlight--;
      return { token: 1, logprobs: undefined };
    },
    dispose: () => {},
  };
  return { context, sampler, overlaps };
}

function runTask(submit: (task: GenerationTask) => unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    submit({
      prompt: Uint32Array.of(1, 2, 3),
      maxTokens: 3,
      sampling: { config: { temperature: 0, seed: 0 }, grammar: undefined, topLogprobs: undefined },
      started: () => {},
      token: () => true,
      ended: () => resolve(),
      failed: reject,
    });
  });
}

test('after a decode the first sampling is alone, the others run side by side', async () => {
  const { context, sampler, overlaps } = recordingContext();
  const scheduler = createScheduler({
    context,
    sequences: 3,
    batchTokens: 512,
    canReusePrefix: true,
    createSampler: () => sampler,
    isEndOfGeneration: () => false,
  });
  await Promise.all([1, 2, 3].map(() => runTask(scheduler.submit)));
  expect(overlaps).toEqual([0, 0, 1]);
  expect(scheduler.counts()).toEqual({ running: 0, waiting: 0 });
});
