import type { StepEntry } from './batch-plan.ts';
import type { EngineCounters } from './engine-counters.ts';
import type { NativeContext } from './llama-binding.ts';
import { asError, type Sequences } from './sequences.ts';
import type { Generation, Slot } from './slot.ts';
import type { SampledToken } from './token-sampler.ts';

export type DecodeStepParts = {
  readonly context: NativeContext;
  readonly sequences: Sequences;
  readonly counters: EngineCounters;
  isEndOfGeneration(token: number): boolean;
};

/** Makes the decode step: computes the entries, samples for those whose prompt is complete, hands the tokens over. */
export function createDecodeStep(parts: DecodeStepParts): (entries: readonly StepEntry[]) => Promise<void> {
  const { context, sequences, counters } = parts;

  /** Never rejects: the samplers of a step run side by side, and none may be freed while another still works. */
  async function sample(slot: Slot, logitIndex: number): Promise<void> {
    const generation = slot.generation;
    if (generation?.sampler === undefined || generation.cancelled) return;
    try {
      const sampled = await generation.sampler.sample(logitIndex);
      if (!generation.cancelled) deliver(slot, generation, sampled);
    } catch (error) {
      if (!generation.cancelled) generation.task.failed(asError(error));
      sequences.release(slot);
    }
  }

  function deliver(slot: Slot, generation: Generation, { token, logprobs }: SampledToken): void {
    generation.prefilledAtMs ??= performance.now();
    if (parts.isEndOfGeneration(token)) {
      generation.task.ended('stop');
      sequences.release(slot);
      return;
    }
    counters.predictedTokens++;
    generation.producedTokens++;
    generation.lastToken = token;
    const goOn = generation.task.token(token, logprobs);
    if (goOn && generation.producedTokens < generation.task.maxTokens) return;
    generation.task.ended(goOn ? 'length' : 'stop');
    sequences.release(slot);
  }

  return async (entries) => {
    context.initBatch(entries.reduce((sum, entry) => sum + entry.tokens.length, 0));
    const sampled: { slot: Slot; logitIndex: number }[] = [];
    for (const { slot, tokens, completesPrompt } of entries) {
      const wanted = completesPrompt ? Uint32Array.of(tokens.length - 1) : new Uint32Array();
      const [logitIndex] = context.addToBatch(slot.id, slot.tokens.length, tokens, wanted);
      if (logitIndex !== undefined) sampled.push({ slot, logitIndex });
    }
    await context.decodeBatch();
    counters.decodes++;
    counters.busySequences += entries.length;
    for (const { slot, tokens } of entries) {
      if (slot.generation?.lastToken === undefined) counters.promptTokens += tokens.length;
      for (const token of tokens) slot.tokens.push(token);
    }
    // The first reader after a decode puts the logits in order (llama.cpp does that lazily and without a lock), so it
    // must be alone; the others may then sample on all threads.
    const [first, ...others] = sampled;
    if (first === undefined) return;
    await sample(first.slot, first.logitIndex);
    if (others.length > 0) await Promise.all(others.map(({ slot, logitIndex }) => sample(slot, logitIndex)));
  };
}
