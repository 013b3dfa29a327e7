import type { OpenAiTokenLogprob } from './openai-chunk.ts';

/** A line of a stream of /api/chat or /api/generate. What a server sends is checked where it is used: nothing here is certain. */
export interface OllamaChunk {
  /** Chat. */
  readonly message?: {
    readonly content?: string;
    readonly thinking?: string;
    readonly tool_calls?: readonly OllamaToolCall[] | null;
  } | null;
  /** Generate. */
  readonly response?: string;
  readonly thinking?: string;
  /** In the form of OpenAI's chat. */
  readonly logprobs?: readonly OpenAiTokenLogprob[] | null;
  /** Set in the last line. */
  readonly done?: boolean;
  readonly done_reason?: string;
  readonly prompt_eval_count?: number;
  readonly eval_count?: number;
  /** In nanoseconds. */
  readonly prompt_eval_duration?: number;
  readonly eval_duration?: number;
  /** An error in mid-stream; nothing follows. */
  readonly error?: unknown;
}

/** A whole tool call; it never comes in fragments. */
export interface OllamaToolCall {
  readonly id?: string;
  readonly function?: { readonly name?: string; readonly arguments?: unknown };
}
