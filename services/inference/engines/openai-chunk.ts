/**
 * The chunks of an OpenAI-compatible stream, chat and completions in one, with the fields that vLLM and others add. What
 * a server sends is checked where it is used: nothing here is certain.
 */
export interface OpenAiChunk {
  readonly choices?: readonly OpenAiChoice[] | null;
  readonly usage?: OpenAiUsage | null;
  /** How long it took, as llama.cpp's servers tell. */
  readonly timings?: OpenAiTimings | null;
  /** An error in mid-stream. */
  readonly error?: unknown;
}

/** One choice of a chunk. */
export interface OpenAiChoice {
  readonly index?: number;
  /** Chat. */
  readonly delta?: OpenAiDelta | null;
  /** Completions. */
  readonly text?: string | null;
  readonly finish_reason?: string | null;
  /** The stop text, or the id of the stop token. */
  readonly stop_reason?: string | number | null;
  readonly token_ids?: readonly number[] | null;
  readonly logprobs?: OpenAiLogprobs | null;
}

/** The text of a chat chunk. */
export interface OpenAiDelta {
  readonly content?: string | null;
  readonly reasoning_content?: string | null;
  readonly reasoning?: string | null;
  readonly tool_calls?: readonly OpenAiToolCall[] | null;
}

/** A fragment of a tool call. */
export interface OpenAiToolCall {
  readonly index?: number;
  readonly id?: string | null;
  readonly function?: { readonly name?: string | null; readonly arguments?: string | null } | null;
}

/** Log-probabilities: `content` for chat, the parallel lists for completions. */
export interface OpenAiLogprobs {
  readonly content?: readonly OpenAiTokenLogprob[] | null;
  readonly tokens?: readonly string[] | null;
  readonly token_logprobs?: readonly (number | null)[] | null;
  readonly top_logprobs?: readonly (Readonly<Record<string, number>> | null)[] | null;
  /** The tokens' bytes, an addition of the embedded engine. */
  readonly bytes?: readonly (readonly number[] | null)[] | null;
}

/** A token of a chat chunk. */
export interface OpenAiTokenLogprob {
  readonly token?: string;
  /** The token in the vocabulary, as llama-server tells. */
  readonly id?: number;
  readonly logprob?: number;
  readonly bytes?: readonly number[] | null;
  readonly top_logprobs?: readonly OpenAiTokenLogprob[] | null;
}

/** The bill so far, or the final one. */
export interface OpenAiUsage {
  readonly prompt_tokens?: number;
  readonly completion_tokens?: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
  readonly completion_tokens_details?: { readonly reasoning_tokens?: number } | null;
}

/** Durations in milliseconds, and what has been computed so far in tokens. */
export interface OpenAiTimings {
  /** Of the prompt: computed, and taken from the cache. */
  readonly prompt_n?: number;
  readonly cache_n?: number;
  readonly predicted_n?: number;
  readonly queue_ms?: number;
  readonly prompt_ms?: number;
  readonly predicted_ms?: number;
}
