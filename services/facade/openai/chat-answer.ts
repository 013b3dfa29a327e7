import { type AnswerHead, chatLogprob, finishReasonOf, usageOf } from './answer-parts.ts';
import type { CollectedChoice, Collector } from './collector.ts';

/** A collected generation → the body of a chat answer. */
export function chatAnswer(head: AnswerHead, collected: Collector): string {
  const usage = collected.usage();
  return JSON.stringify({
    id: head.id,
    object: 'chat.completion',
    created: head.created,
    model: head.model,
    choices: collected.choices().map(choiceOf),
    usage: usage && usageOf(usage),
  });
}

function choiceOf([index, choice]: [number, CollectedChoice]): object {
  const ordered = [...choice.toolCalls].sort(([a], [b]) => a - b);
  const calls = ordered.map(([, { id, name, arguments: text }]) => ({
    id,
    type: 'function',
    function: { name, arguments: text },
  }));
  return {
    index,
    message: {
      role: 'assistant',
      content: choice.text === '' && calls.length > 0 ? null : choice.text,
      refusal: null,
      ...(choice.reasoning === '' ? {} : { reasoning_content: choice.reasoning }),
      ...(calls.length > 0 ? { tool_calls: calls } : {}),
    },
    logprobs: choice.logprobs.length > 0 ? { content: choice.logprobs.map(chatLogprob), refusal: null } : null,
    finish_reason: finishReasonOf(choice.finishReason),
    ...(choice.tokenIds.length > 0 ? { token_ids: choice.tokenIds } : {}),
  };
}
