import { FinishReason, type TokenLogprob, type Usage } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';

/** What names an answer: the same in every chunk of a stream. */
export interface AnswerHead {
  /** E.g. "chatcmpl-<request id>". */
  readonly id: string;
  /** The model as the caller named it, else its id. */
  readonly model: string;
  /** Unix time in seconds. */
  readonly created: number;
}

const FINISH_REASONS: Readonly<Record<FinishReason, string>> = {
  [FinishReason.UNSPECIFIED]: 'stop',
  [FinishReason.STOP]: 'stop',
  [FinishReason.LENGTH]: 'length',
  [FinishReason.TOOL_CALLS]: 'tool_calls',
  [FinishReason.CONTENT_FILTER]: 'content_filter',
  // OpenAI has no word for a cut from outside; "length" tells that there would have been more.
  [FinishReason.CANCELLED]: 'length',
  [FinishReason.QUOTA_EXHAUSTED]: 'length',
  [FinishReason.DEADLINE]: 'length',
};

/** OpenAI's word for why a choice ended. */
export function finishReasonOf(reason: FinishReason): string {
  return FINISH_REASONS[reason] ?? 'stop';
}

/** OpenAI's usage object. */
export function usageOf(usage: Usage): object {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedTokens },
    completion_tokens_details: { reasoning_tokens: usage.reasoningTokens },
  };
}

/** A token of `logprobs.content` of a chat answer. */
export interface ChatTokenLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: number[] | null;
  readonly top_logprobs?: ChatTokenLogprob[];
}

/** One entry of a chat answer's `logprobs.content`. */
export function chatLogprob(token: TokenLogprob): ChatTokenLogprob {
  return { ...bareLogprob(token), top_logprobs: token.top.map(bareLogprob) };
}

function bareLogprob({ token, logprob, bytes }: TokenLogprob): ChatTokenLogprob {
  return { token, logprob: finite(logprob), bytes: bytes.length > 0 ? Array.from(bytes) : null };
}

/** The `logprobs` object of a text completion. */
export interface CompletionLogprobs {
  tokens: string[];
  token_logprobs: number[];
  top_logprobs: Record<string, number>[];
  text_offset: number[];
}

/** Tokens → the `logprobs` of a text completion; `offset` is where their text begins, in UTF-16 units. */
export function completionLogprobs(tokens: readonly TokenLogprob[], offset: number): CompletionLogprobs {
  const result: CompletionLogprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
  let at = offset;
  for (const { token, logprob, top } of tokens) {
    result.tokens.push(token);
    result.token_logprobs.push(finite(logprob));
    result.top_logprobs.push(Object.fromEntries(top.map((other) => [other.token, finite(other.logprob)])));
    result.text_offset.push(at);
    at += token.length;
  }
  return result;
}

/** JSON has no infinity; -9999 is what OpenAI writes for a token that could not have been. */
function finite(logprob: number): number {
  return Number.isFinite(logprob) ? logprob : -9999;
}
