import type { NativeSampler, SamplerConfig } from './llama-binding.ts';

/** One generation as the scheduler sees it: tokens in, tokens out. The callbacks must not throw. */
export type GenerationTask = {
  readonly prompt: Uint32Array;
  /** At least 1; prompt and completion together fit the sequence. */
  readonly maxTokens: number;
  readonly samplerConfig: SamplerConfig;
  /** A sequence is taken; so many tokens of the prompt are in its memory already. */
  started(cachedTokens: number): void;
  /** A token was sampled. Returns whether to go on. */
  token(token: number): boolean;
  /** The end, unless `failed` is called or the generation was cancelled. `length`: maxTokens is reached. */
  ended(reason: 'stop' | 'length'): void;
  failed(error: Error): void;
};

export type Generation = {
  readonly task: GenerationTask;
  sampler: NativeSampler | undefined;
  producedTokens: number;
  /** Sampled, not decoded yet; undefined while the prompt is. */
  lastToken: number | undefined;
  paused: boolean;
  cancelled: boolean;
};

/** A sequence of the native context. It keeps its tokens after a generation for the next with the same beginning. */
export type Slot = { readonly id: number; tokens: number[]; generation: Generation | undefined };
