import { commonPrefixLength } from './batch-plan.ts';
import type { EngineCounters } from './engine-counters.ts';
import type { NativeContext } from './llama-binding.ts';
import type { Generation, Slot } from './slot.ts';
import type { SamplingPlan, TokenSampler } from './token-sampler.ts';

export type SequenceEngine = {
  readonly context: NativeContext;
  readonly sequences: number;
  /** Whether the model's memory can be cut back to a prefix. */
  readonly canReusePrefix: boolean;
  createSampler(plan: SamplingPlan): TokenSampler;
};

/** The sequences of the native context: who has which, and what is in their memory. */
export type Sequences = {
  readonly slots: readonly Slot[];
  /** Gives a free sequence to a generation; false: there is none. A failure is told to the generation. */
  admit(generation: Generation): boolean;
  /** Frees a sequence; its memory stays. */
  release(slot: Slot): void;
  /** Empties the memory of a sequence. */
  clear(slot: Slot): void;
};

export const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

export function createSequences(engine: SequenceEngine, counters: EngineCounters): Sequences {
  const slots: Slot[] = Array.from({ length: engine.sequences }, (_, id) => ({
    id,
    tokens: [],
    generation: undefined,
  }));

  function clear(slot: Slot): void {
    engine.context.disposeSequence(slot.id);
    slot.tokens = [];
  }

  /** Keeps the beginning of the sequence that the prompt shares and forgets the rest, so no earlier text is left. */
  function reusePrefix(slot: Slot, prompt: Uint32Array): number {
    // The last token is always decoded again: its logits give the first new token.
    const shared = Math.min(commonPrefixLength(slot.tokens, prompt), prompt.length - 1);
    if (shared === slot.tokens.length) return shared;
    const cut = shared > 0 && engine.context.removeTokenCellsFromSequence(slot.id, shared, -1);
    if (!cut) clear(slot);
    else slot.tokens.length = shared;
    return slot.tokens.length;
  }

  function bestFree(prompt: Uint32Array): Slot | undefined {
    let best: Slot | undefined;
    let bestShared = -1;
    for (const slot of slots) {
      if (slot.generation !== undefined) continue;
      const shared = engine.canReusePrefix ? commonPrefixLength(slot.tokens, prompt) : 0;
      // Ties go to the lowest: llama.cpp decodes neighbouring sequences as one batch.
      if (shared > bestShared) [best, bestShared] = [slot, shared];
    }
    return best;
  }

  return {
    slots,
    admit(generation) {
      const { task } = generation;
      const slot = bestFree(task.prompt);
      if (slot === undefined) return false;
      try {
        generation.sampler = engine.createSampler(task.sampling);
      } catch (error) {
        task.failed(asError(error));
        return true;
      }
      if (!engine.canReusePrefix) clear(slot);
      slot.generation = generation;
      generation.startedAtMs = performance.now();
      task.started(reusePrefix(slot, task.prompt));
      return true;
    },
    release(slot) {
      const { generation } = slot;
      if (generation === undefined) return;
      generation.sampler?.dispose();
      slot.generation = undefined;
      counters.longestSequence = Math.max(counters.longestSequence, slot.tokens.length);
      const { startedAtMs, prefilledAtMs } = generation;
      if (prefilledAtMs === undefined) return;
      counters.promptMs += prefilledAtMs - startedAtMs;
      counters.predictedMs += performance.now() - prefilledAtMs;
    },
    clear,
  };
}
