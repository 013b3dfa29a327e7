import type { Delta } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { type AnswerHead, completionLogprobs, finishReasonOf, usageOf } from './answer-parts.ts';
import type { EventFrames } from './chat-chunk.ts';
import type { CollectedChoice, Collector } from './collector.ts';

/** Makes the translation of one text-completion stream; see chatChunks. */
export function completionChunks(head: AnswerHead, includeUsage: boolean): EventFrames {
  const { id, model, created } = head;
  const start = `data: {"id":${JSON.stringify(id)},"object":"text_completion","created":${created},"model":${JSON.stringify(model)},"choices":[`;
  const end = includeUsage ? '],"usage":null}\n\n' : ']}\n\n';
  const unfinished = `,"finish_reason":null}${end}`;
  const firstText = `${start}{"index":0,"text":`;
  const plainEnd = `,"logprobs":null${unfinished}`;
  /** Length of the text so far, per choice. */
  const offsets: number[] = [];

  const deltaFrame = (delta: Delta): string => {
    const { choice, text, logprobs, tokenIds } = delta;
    const offset = offsets[choice] ?? 0;
    offsets[choice] = offset + text.length;
    if (logprobs.length === 0 && tokenIds.length === 0) {
      if (text === '') return '';
      if (choice === 0) return firstText + JSON.stringify(text) + plainEnd;
      return `${start}{"index":${choice},"text":${JSON.stringify(text)}${plainEnd}`;
    }
    const told = logprobs.length > 0 ? JSON.stringify(completionLogprobs(logprobs, offset)) : 'null';
    const ids = tokenIds.length > 0 ? `,"token_ids":${JSON.stringify(tokenIds)}` : '';
    return `${start}{"index":${choice},"text":${JSON.stringify(text)},"logprobs":${told}${ids}${unfinished}`;
  };

  return ({ event }) => {
    switch (event.case) {
      case 'delta':
        return deltaFrame(event.value);
      case 'finished': {
        const { choice, reason } = event.value;
        return `${start}{"index":${choice},"text":"","logprobs":null,"finish_reason":"${finishReasonOf(reason)}"}${end}`;
      }
      case 'usage':
        return includeUsage ? `${start}],"usage":${JSON.stringify(usageOf(event.value))}}\n\n` : '';
      default:
        return '';
    }
  };
}

/** A collected generation → the body of a text completion. */
export function completionAnswer(head: AnswerHead, collected: Collector): string {
  const usage = collected.usage();
  return JSON.stringify({
    id: head.id,
    object: 'text_completion',
    created: head.created,
    model: head.model,
    choices: collected.choices().map(choiceOf),
    usage: usage && usageOf(usage),
  });
}

function choiceOf([index, choice]: [number, CollectedChoice]): object {
  const echoed = choice.text.length - choice.logprobs.reduce((length, { token }) => length + token.length, 0);
  return {
    index,
    text: choice.text,
    logprobs: choice.logprobs.length > 0 ? completionLogprobs(choice.logprobs, Math.max(0, echoed)) : null,
    finish_reason: finishReasonOf(choice.finishReason),
    ...(choice.tokenIds.length > 0 ? { token_ids: choice.tokenIds } : {}),
  };
}
