import type { Delta, GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { type AnswerHead, chatLogprob, finishReasonOf, usageOf } from './answer-parts.ts';

/** An event → the frames that it becomes on an event stream; empty for an event that clients do not see. */
export type EventFrames = (event: GenerationEvent) => string;

/**
 * Makes the translation of one chat stream. What is the same in every chunk is put together once; per event only the
 * content is encoded.
 *
 * @param includeUsage whether the last chunk tells the usage (`stream_options.include_usage`).
 */
export function chatChunks(head: AnswerHead, includeUsage: boolean): EventFrames {
  const { id, model, created } = head;
  const start = `data: {"id":${JSON.stringify(id)},"object":"chat.completion.chunk","created":${created},"model":${JSON.stringify(model)},"choices":[`;
  const end = includeUsage ? '],"usage":null}\n\n' : ']}\n\n';
  const firstText = `${start}{"index":0,"delta":{"content":`;
  const unfinished = `,"finish_reason":null}${end}`;
  const plainEnd = `}${unfinished}`;
  const begun: boolean[] = [];

  const deltaFrame = (delta: Delta): string => {
    const { choice } = delta;
    const plain = delta.reasoning === '' && delta.toolCalls.length === 0 && isBare(delta);
    if (plain && begun[choice] === true) {
      if (delta.text === '') return '';
      const text = JSON.stringify(delta.text);
      if (choice === 0) return firstText + text + plainEnd;
      return `${start}{"index":${choice},"delta":{"content":${text}${plainEnd}`;
    }
    const members = deltaMembers(delta, begun[choice] !== true);
    if (members === '') return '';
    begun[choice] = true;
    return `${start}{"index":${choice},"delta":{${members}}${extras(delta)}${unfinished}`;
  };

  return ({ event }) => {
    switch (event.case) {
      case 'delta':
        return deltaFrame(event.value);
      case 'finished': {
        const { choice, reason } = event.value;
        const delta = begun[choice] === true ? '{}' : '{"role":"assistant","content":""}';
        begun[choice] = true;
        return `${start}{"index":${choice},"delta":${delta},"finish_reason":"${finishReasonOf(reason)}"}${end}`;
      }
      case 'usage':
        return includeUsage ? `${start}],"usage":${JSON.stringify(usageOf(event.value))}}\n\n` : '';
      default:
        return '';
    }
  };
}

/** Whether a delta has nothing beside its `delta` object. */
function isBare(delta: Delta): boolean {
  return delta.logprobs.length === 0 && delta.tokenIds.length === 0;
}

/** The members of `delta`; the first one of a choice carries the role. */
function deltaMembers(delta: Delta, isFirst: boolean): string {
  const members: string[] = [];
  if (delta.reasoning !== '') members.push(`"reasoning_content":${JSON.stringify(delta.reasoning)}`);
  if (delta.text !== '') members.push(`"content":${JSON.stringify(delta.text)}`);
  if (delta.toolCalls.length > 0) {
    const calls = delta.toolCalls.map(({ index, id, name, arguments: text }) =>
      id === undefined
        ? { index, function: { name, arguments: text } }
        : { index, id, type: 'function', function: { name, arguments: text } },
    );
    members.push(`"tool_calls":${JSON.stringify(calls)}`);
  }
  // A token whose text is still held back has ids and probabilities already.
  if (members.length === 0 && !isBare(delta)) members.push('"content":""');
  if (isFirst && members.length > 0) members.unshift('"role":"assistant"');
  return members.join(',');
}

function extras(delta: Delta): string {
  let text = '';
  if (delta.logprobs.length > 0) {
    text += `,"logprobs":${JSON.stringify({ content: delta.logprobs.map(chatLogprob), refusal: null })}`;
  }
  if (delta.tokenIds.length > 0) text += `,"token_ids":${JSON.stringify(delta.tokenIds)}`;
  return text;
}
