import { commonPrefixLength, planStep, type StepEntry } from './batch-plan.ts';
import type { NativeContext, NativeSampler, SamplerConfig } from './llama-binding.ts';
import type { Generation, GenerationTask, Slot } from './slot.ts';

export type GenerationHandle = {
  /** No callback is called any more; the sequence is free after the decode step that is running, if any. */
  cancel(): void;
  /** Leaves the generation out of the following decode steps until `resume`. */
  pause(): void;
  resume(): void;
};

export type SchedulerEngine = {
  readonly context: NativeContext;
  readonly sequences: number;
  /** Most tokens of one decode step. */
  readonly batchTokens: number;
  /** Whether the model's memory can be cut back to a prefix. */
  readonly canReusePrefix: boolean;
  createSampler(config: SamplerConfig): NativeSampler;
  isEndOfGeneration(token: number): boolean;
};

export type Scheduler = {
  /** Undefined: the queue is full. */
  submit(task: GenerationTask): GenerationHandle | undefined;
  counts(): { readonly running: number; readonly waiting: number };
  /** Cancels everything and resolves when the last decode step is over. */
  close(): Promise<void>;
};

/** Enough for any burst that a mesh lets through; beyond it waiting would take longer than a caller's patience. */
const MAX_WAITING = 256;

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

/**
 * Continuous batching: one loop, the only writer of the native context, decodes one step of all generations at a time.
 * Between steps it frees, admits (first come, first served) and plans, so a change takes effect within one step.
 */
export function createScheduler(engine: SchedulerEngine): Scheduler {
  const slots: Slot[] = Array.from({ length: engine.sequences }, (_, id) => ({
    id,
    tokens: [],
    generation: undefined,
  }));
  const waiting: Generation[] = [];
  let running = false;
  let idle = Promise.resolve();
  let closed = false;

  function release(slot: Slot): void {
    slot.generation?.sampler?.dispose();
    slot.generation = undefined;
  }

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

  function admit(): void {
    while (waiting.length > 0) {
      const prompt = waiting[0]?.task.prompt ?? new Uint32Array();
      let best: Slot | undefined;
      let bestShared = -1;
      for (const slot of slots) {
        if (slot.generation !== undefined) continue;
        const shared = engine.canReusePrefix ? commonPrefixLength(slot.tokens, prompt) : 0;
        // Ties go to the lowest: llama.cpp decodes neighbouring sequences as one batch.
        if (shared > bestShared) [best, bestShared] = [slot, shared];
      }
      if (best === undefined) return;
      const generation = waiting.shift();
      if (generation === undefined) return;
      if (!engine.canReusePrefix) clear(best);
      best.generation = generation;
      generation.sampler = engine.createSampler(generation.task.samplerConfig);
      generation.task.started(reusePrefix(best, prompt));
    }
  }

  /** Never rejects: the samplers of a step run side by side, and none may be freed while another still works. */
  async function sample(slot: Slot, logitIndex: number): Promise<void> {
    const generation = slot.generation;
    if (generation?.sampler === undefined || generation.cancelled) return;
    try {
      const token = await engine.context.sampleToken(logitIndex, generation.sampler);
      if (token < 0) throw new Error('no token could be sampled');
      if (!generation.cancelled) deliver(slot, generation, token);
    } catch (error) {
      if (!generation.cancelled) generation.task.failed(asError(error));
      release(slot);
    }
  }

  function deliver(slot: Slot, generation: Generation, token: number): void {
    if (engine.isEndOfGeneration(token)) {
      generation.task.ended('stop');
      release(slot);
      return;
    }
    generation.producedTokens++;
    generation.lastToken = token;
    const goOn = generation.task.token(token);
    if (goOn && generation.producedTokens < generation.task.maxTokens) return;
    generation.task.ended(goOn ? 'length' : 'stop');
    release(slot);
  }

  async function step(entries: readonly StepEntry[]): Promise<void> {
    engine.context.initBatch(entries.reduce((sum, entry) => sum + entry.tokens.length, 0));
    const sampled: { slot: Slot; logitIndex: number }[] = [];
    for (const { slot, tokens, completesPrompt } of entries) {
      const wanted = completesPrompt ? Uint32Array.of(tokens.length - 1) : new Uint32Array();
      const [logitIndex] = engine.context.addToBatch(slot.id, slot.tokens.length, tokens, wanted);
      if (logitIndex !== undefined) sampled.push({ slot, logitIndex });
    }
    await engine.context.decodeBatch();
    for (const { slot, tokens } of entries) for (const token of tokens) slot.tokens.push(token);
    // The first reader after a decode puts the logits in order (llama.cpp does that lazily and without a lock), so it
    // must be alone; the others may then sample on all threads.
    const [first, ...others] = sampled;
    if (first === undefined) return;
    await sample(first.slot, first.logitIndex);
    if (others.length > 0) await Promise.all(others.map(({ slot, logitIndex }) => sample(slot, logitIndex)));
  }

  function fail(entries: readonly StepEntry[], error: Error): void {
    for (const { slot } of entries) {
      const generation = slot.generation;
      clear(slot);
      if (generation === undefined) continue;
      if (!generation.cancelled) generation.task.failed(error);
      release(slot);
    }
  }

  async function run(): Promise<void> {
    for (;;) {
      for (const slot of slots) if (slot.generation?.cancelled) release(slot);
      admit();
      const entries = planStep(slots, engine.batchTokens);
      if (entries.length === 0) break;
      try {
        await step(entries);
      } catch (error) {
        fail(entries, asError(error));
      }
    }
    // In the same turn as the last look at the slots: a wake() after it must start a new loop.
    running = false;
  }

  function wake(): void {
    if (running) return;
    running = true;
    idle = run();
  }

  function handleOf(generation: Generation): GenerationHandle {
    return {
      cancel() {
        generation.cancelled = true;
        const index = waiting.indexOf(generation);
        if (index >= 0) waiting.splice(index, 1);
        wake();
      },
      pause() {
        generation.paused = true;
      },
      resume() {
        generation.paused = false;
        wake();
      },
    };
  }

  return {
    submit(task) {
      if (closed || waiting.length >= MAX_WAITING) return undefined;
      const generation = {
        task,
        sampler: undefined,
        producedTokens: 0,
        lastToken: undefined,
        paused: false,
        cancelled: false,
      };
      waiting.push(generation);
      wake();
      return handleOf(generation);
    },
    counts() {
      const running = slots.filter((slot) => slot.generation !== undefined).length;
      return { running, waiting: waiting.length };
    },
    async close() {
      closed = true;
      waiting.length = 0;
      for (const slot of slots) if (slot.generation !== undefined) slot.generation.cancelled = true;
      wake();
      await idle;
    },
  };
}
