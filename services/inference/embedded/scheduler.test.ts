import { expect, test } from 'vitest';
import type { NativeContext } from './llama-binding.ts';
import { createScheduler } from './scheduler.ts';
import type { GenerationTask } from './slot.ts';

/** A native context that only notes how many samplings overlap; the real one loses logits about once in 100 such steps. */
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
    async sampleToken(logitIndex) {
      overlaps[logitIndex] = inFlight++;
      await new Promise((resolve) => setImmediate(resolve));
      inFlight--;
      return 1;
    },
    disposeSequence: () => {},
    removeTokenCellsFromSequence: () => true,
  };
  return { context, overlaps };
}

function runTask(submit: (task: GenerationTask) => unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    submit({
      prompt: Uint32Array.of(1, 2, 3),
      maxTokens: 3,
      samplerConfig: { temperature: 0, seed: 0 },
      started: () => {},
      token: () => true,
      ended: () => resolve(),
      failed: reject,
    });
  });
}

test('after a decode the first sampling is alone, the others run side by side', async () => {
  const { context, overlaps } = recordingContext();
  const scheduler = createScheduler({
    context,
    sequences: 3,
    batchTokens: 512,
    canReusePrefix: true,
    createSampler: () => ({ applyConfig: () => {}, dispose: () => {} }),
    isEndOfGeneration: () => false,
  });
  await Promise.all([1, 2, 3].map(() => runTask(scheduler.submit)));
  expect(overlaps).toEqual([0, 0, 1]);
  expect(scheduler.counts()).toEqual({ running: 0, waiting: 0 });
});
