import { FinishReason, type Usage } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { type AnswerHead, finishReasonOf } from '../openai/answer-parts.ts';
import type { CollectedChoice, Collector } from '../openai/collector.ts';

/** Why an answer ended, and at which text. */
export interface Ending {
  readonly stop_reason: string | null;
  readonly stop_sequence: string | null;
}

/** An answer that goes on. */
export const UNFINISHED: Ending = { stop_reason: null, stop_sequence: null };

const STOP_REASONS: Readonly<Record<string, string>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  tool_calls: 'tool_use',
  content_filter: 'refusal',
};

/** Anthropic's words for the end of an answer. */
export function endingOf(reason: FinishReason, matchedStop: string | undefined): Ending {
  if (reason === FinishReason.STOP && matchedStop !== undefined) {
    return { stop_reason: 'stop_sequence', stop_sequence: matchedStop };
  }
  return { stop_reason: STOP_REASONS[finishReasonOf(reason)] ?? 'end_turn', stop_sequence: null };
}

/** Anthropic's usage object: what came from the cache is not counted as input. */
export function messageUsage(usage: Usage | undefined): object {
  const { promptTokens = 0, completionTokens = 0, cachedTokens = 0 } = usage ?? {};
  return {
    input_tokens: promptTokens - cachedTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cachedTokens,
    output_tokens: completionTokens,
  };
}

/** The message object. */
export function messageObject(head: AnswerHead, content: readonly object[], ending: Ending, usage?: Usage): object {
  return {
    ...{ id: head.id, type: 'message', role: 'assistant', model: head.model },
    ...{ content, ...ending, usage: messageUsage(usage) },
  };
}

/** A collected generation → the body of the answer. */
export function messageAnswer(head: AnswerHead, collected: Collector): string {
  const choice = collected.choices()[0]?.[1];
  const ending = endingOf(choice?.finishReason ?? FinishReason.UNSPECIFIED, choice?.matchedStop);
  return JSON.stringify(messageObject(head, choice ? blocksOf(choice) : [], ending, collected.usage()));
}

function blocksOf({ reasoning, text, toolCalls }: CollectedChoice): object[] {
  return [
    // Nothing of ours signs what a model thought.
    ...(reasoning === '' ? [] : [{ type: 'thinking', thinking: reasoning, signature: '' }]),
    ...(text === '' ? [] : [{ type: 'text', text, citations: null }]),
    ...[...toolCalls]
      .sort(([a], [b]) => a - b)
      .map(([, { id, name, arguments: json }]) => ({ type: 'tool_use', id, name, input: inputOf(json) })),
  ];
}

/** What a model wrote that is no object is handed on as Anthropic says. */
function inputOf(json: string): object {
  if (json.trim() === '') return {};
  try {
    const input: unknown = JSON.parse(json);
    if (typeof input === 'object' && input !== null && !Array.isArray(input)) return input;
  } catch {
    // Told below.
  }
  return { INVALID_JSON: json };
}
