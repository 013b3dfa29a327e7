import type { TokenLogprobs } from './logprob-reader.ts';
import type { SamplingPlan, TokenSampler } from './token-sampler.ts';

/** One generation as the scheduler sees it: tokens in, tokens out. The callbacks must not throw. */
export type GenerationTask = {
  readonly prompt: Uint32Array;
  /** At least 1; prompt and completion together fit the sequence. */
  readonly maxTokens: number;
  readonly sampling: SamplingPlan;
  /** A sequence is taken; so many tokens of the prompt are in its memory already. */
  started(cachedTokens: number): void;
  /** A token was sampled, with log-probabilities where the plan asks for them. Returns whether to go on. */
  token(token: number, logprobs: TokenLogprobs | undefined): boolean;
  /** The end, unless `failed` is called or the generation was cancelled. `length`: maxTokens is reached. */
  ended(reason: 'stop' | 'length'): void;
  failed(error: Error): void;
};

export type Generation = {
  readonly task: GenerationTask;
  sampler: TokenSampler | undefined;
  producedTokens: number;
  /** Sampled, not decoded yet; undefined while the prompt is. */
  lastToken: number | undefined;
  /** When a sequence was taken, and when the prompt was computed; milliseconds of `performance.now()`. */
  startedAtMs: number;
  prefilledAtMs: number | undefined;
  paused: boolean;
  cancelled: boolean;
};

/** A sequence of the native context. It keeps its tokens after a generation for the next with the same beginning. */
export type Slot = { readonly id: number; tokens: number[]; generation: Generation | undefined };
