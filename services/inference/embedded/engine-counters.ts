/** What the engine has done since its start; only ever grows. Written by the scheduler's loop alone. */
export type EngineCounters = {
  /** Tokens of prompts that were computed; what a sequence still had in memory is not among them. */
  promptTokens: number;
  /** Tokens that were sampled and belong to an answer. */
  predictedTokens: number;
  /** Time from a sequence to its first token, and from there to its end, summed over the generations that got so far. */
  promptMs: number;
  predictedMs: number;
  decodes: number;
  /** Sequences in a decode step, summed over the steps. */
  busySequences: number;
  /** Most tokens that a sequence has held. */
  longestSequence: number;
};

export const createCounters = (): EngineCounters => ({
  promptTokens: 0,
  predictedTokens: 0,
  promptMs: 0,
  predictedMs: 0,
  decodes: 0,
  busySequences: 0,
  longestSequence: 0,
});
