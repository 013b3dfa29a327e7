import { planStep, type StepEntry } from './batch-plan.ts';
import { createDecodeStep } from './decode-step.ts';
import { createCounters, type EngineCounters } from './engine-counters.ts';
import { asError, createSequences, type SequenceEngine } from './sequences.ts';
import type { Generation, GenerationTask } from './slot.ts';

export type GenerationHandle = {
  /** No callback is called any more; the sequence is free after the decode step that is running, if any. */
  cancel(): void;
  /** Leaves the generation out of the following decode steps until `resume`. */
  pause(): void;
  resume(): void;
};

export type SchedulerEngine = SequenceEngine & {
  /** Most tokens of one decode step. */
  readonly batchTokens: number;
  isEndOfGeneration(token: number): boolean;
};

export type Scheduler = {
  /** Undefined: the queue is full. */
  submit(task: GenerationTask): GenerationHandle | undefined;
  counts(): { readonly running: number; readonly waiting: number };
  readonly counters: Readonly<EngineCounters>;
  /** Tokens that all sequences hold in memory, those that are kept for a next prompt included. */
  tokensInMemory(): number;
  /** Cancels everything and resolves when the last decode step is over. */
  close(): Promise<void>;
};

/** Enough for any burst that a mesh lets through; beyond it waiting would take longer than a caller's patience. */
const MAX_WAITING = 256;

/**
 * Continuous batching: one loop, the only writer of the native context, decodes one step of all generations at a time.
 * Between steps it frees, admits (first come, first served) and plans, so a change takes effect within one step.
 */
export function createScheduler(engine: SchedulerEngine): Scheduler {
  const counters = createCounters();
  const sequences = createSequences(engine, counters);
  const { slots } = sequences;
  const { context, isEndOfGeneration } = engine;
  const step = createDecodeStep({ context, sequences, counters, isEndOfGeneration });
  const waiting: Generation[] = [];
  let running = false;
  let idle = Promise.resolve();
  let closed = false;

  function admit(): void {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (sequences.admit(next)) continue;
      waiting.unshift(next);
      return;
    }
  }

  function fail(entries: readonly StepEntry[], error: Error): void {
    for (const { slot } of entries) {
      const generation = slot.generation;
      sequences.clear(slot);
      if (generation === undefined) continue;
      if (!generation.cancelled) generation.task.failed(error);
      sequences.release(slot);
    }
  }

  async function run(): Promise<void> {
    for (;;) {
      for (const slot of slots) if (slot.generation?.cancelled) sequences.release(slot);
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
    counters,
    submit(task) {
      if (closed || waiting.length >= MAX_WAITING) return undefined;
      const generation: Generation = {
        task,
        sampler: undefined,
        producedTokens: 0,
        lastToken: undefined,
        startedAtMs: 0,
        prefilledAtMs: undefined,
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
    tokensInMemory: () => slots.reduce((sum, slot) => sum + slot.tokens.length, 0),
    async close() {
      closed = true;
      waiting.length = 0;
      for (const slot of slots) if (slot.generation !== undefined) slot.generation.cancelled = true;
      wake();
      await idle;
    },
  };
}
