import type { FinishReason, TokenLogprob, Usage } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { type AnswerHead, chatLogprob, finishReasonOf } from '../openai/answer-parts.ts';
import type { ResponsesBody } from './responses-schema.ts';

/** How an item or an answer stands. */
export type Status = 'in_progress' | 'completed' | 'incomplete' | 'failed';

/** One item of an answer with all that it will have. */
export type OutputItem =
  | { readonly kind: 'reasoning'; readonly id: string; text: string }
  | { readonly kind: 'message'; readonly id: string; text: string; readonly logprobs: TokenLogprob[] }
  | { readonly kind: 'call'; readonly id: string; readonly callId: string; readonly name: string; text: string };

/** The prefix of an item's id. */
export const ID_PREFIX = { reasoning: 'rs_', message: 'msg_', call: 'fc_' } as const;

/** An item as the answer has it. */
export function itemObject(item: OutputItem, status: Status): object {
  switch (item.kind) {
    case 'reasoning':
      return { id: item.id, type: 'reasoning', summary: [], content: contentOf(item), status };
    case 'message':
      return { id: item.id, type: 'message', role: 'assistant', status, content: contentOf(item) };
    case 'call':
      return {
        ...{ id: item.id, type: 'function_call', call_id: item.callId },
        ...{ name: item.name, arguments: item.text, status },
      };
  }
}

/** The one part of an item that has parts. */
export function partObject(item: Exclude<OutputItem, { kind: 'call' }>): object {
  if (item.kind === 'reasoning') return { type: 'reasoning_text', text: item.text };
  return { type: 'output_text', text: item.text, annotations: [], logprobs: item.logprobs.map(tokenLogprob) };
}

function contentOf(item: Exclude<OutputItem, { kind: 'call' }>): object[] {
  return item.text === '' && item.kind === 'reasoning' ? [] : [partObject(item)];
}

/** A log-probability; here unknown bytes are none. */
export function tokenLogprob(token: TokenLogprob): object {
  const { bytes, top_logprobs: top = [], ...rest } = chatLogprob(token);
  return { ...rest, bytes: bytes ?? [], top_logprobs: top.map((other) => ({ ...other, bytes: other.bytes ?? [] })) };
}

/** Why an answer ended early. Undefined: it did not. */
export function earlyEndOf(reason: FinishReason): 'max_output_tokens' | 'content_filter' | undefined {
  const told = finishReasonOf(reason);
  if (told === 'content_filter') return told;
  return told === 'length' ? 'max_output_tokens' : undefined;
}

/** What changes while an answer is made. */
export interface ResponseState {
  readonly status: Status;
  readonly output: readonly object[];
  readonly reason?: FinishReason;
  readonly usage?: Usage | undefined;
}

/** The response object: what was asked, with its defaults, and what came of it. */
export function responseObject(head: AnswerHead, body: ResponsesBody, state: ResponseState): object {
  const early = state.reason === undefined ? undefined : earlyEndOf(state.reason);
  return {
    id: head.id,
    object: 'response',
    created_at: head.created,
    status: state.status,
    background: false,
    error: null,
    incomplete_details: early === undefined ? null : { reason: early },
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    metadata: body.metadata ?? {},
    model: head.model,
    output: state.output,
    parallel_tool_calls: body.parallel_tool_calls !== false,
    previous_response_id: null,
    reasoning: { effort: body.reasoning?.effort ?? null, summary: null },
    service_tier: 'default',
    // Whatever was asked: nothing is kept.
    store: false,
    temperature: body.temperature ?? 0.7,
    text: { format: body.text?.format ?? { type: 'text' } },
    tool_choice: body.tool_choice ?? 'auto',
    tools: body.tools ?? [],
    top_logprobs: body.top_logprobs ?? 0,
    top_p: body.top_p ?? 1,
    truncation: 'disabled',
    usage: state.usage ? usageObject(state.usage) : null,
    user: body.user ?? null,
  };
}

function usageObject(usage: Usage): object {
  return {
    input_tokens: usage.promptTokens,
    input_tokens_details: { cached_tokens: usage.cachedTokens },
    output_tokens: usage.completionTokens,
    output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
    total_tokens: usage.promptTokens + usage.completionTokens,
  };
}
