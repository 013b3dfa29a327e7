import {
  type Delta,
  FinishReason,
  type GenerationEvent,
  type ToolCallDelta,
  type Usage,
} from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { anthropicError } from '../http/anthropic-error.ts';
import type { Problem } from '../http/errors.ts';
import { NamedEvents } from '../http/named-events.ts';
import type { AnswerHead } from '../openai/answer-parts.ts';
import { type Ending, endingOf, messageObject, messageUsage, UNFINISHED } from './message-object.ts';

/** The events of one streamed answer, as the frames of an event stream. */
export class MessageEvents {
  readonly #head: AnswerHead;
  readonly #events = new NamedEvents();
  /** The kind of the block that is being written. Unset: none is. */
  #open: 'thinking' | 'text' | number | undefined;
  /** Blocks so far. */
  #blocks = 0;
  #ending: Ending = endingOf(FinishReason.UNSPECIFIED, undefined);
  #usage: Usage | undefined;

  constructor(head: AnswerHead) {
    this.#head = head;
  }

  /** What an event becomes; empty for one that clients do not see. */
  framesOf({ event }: GenerationEvent): string {
    if (event.case === 'delta') this.#onDelta(event.value);
    else if (event.case === 'finished') this.#ending = endingOf(event.value.reason, event.value.matchedStop);
    else if (event.case === 'usage') this.#usage = event.value;
    return this.#events.take();
  }

  /** The end of what is open, why it ended, and the bill. */
  lastFrames(): string {
    this.#begin();
    this.#close();
    this.#events.send('message_delta', { delta: this.#ending, usage: messageUsage(this.#usage) });
    this.#events.send('message_stop', {});
    return this.#events.take();
  }

  /** What tells an error in mid-stream. */
  errorFrames(problem: Problem): string {
    this.#events.send('error', { error: anthropicError(problem) });
    return this.#events.take();
  }

  #onDelta({ reasoning, text, toolCalls }: Delta): void {
    if (reasoning !== '') {
      this.#write('thinking', { type: 'thinking', thinking: '', signature: '' });
      this.#send({ type: 'thinking_delta', thinking: reasoning });
    }
    if (text !== '') {
      this.#write('text', { type: 'text', text: '', citations: null });
      this.#send({ type: 'text_delta', text });
    }
    for (const fragment of toolCalls) this.#onCall(fragment);
  }

  #onCall({ index, id, name, arguments: json }: ToolCallDelta): void {
    this.#write(index, { type: 'tool_use', id, name, input: {} });
    if (json !== '') this.#send({ type: 'input_json_delta', partial_json: json });
  }

  #begin(): void {
    if (this.#events.sent > 0) return;
    this.#events.send('message_start', { message: messageObject(this.#head, [], UNFINISHED) });
  }

  /** Goes on with the open block, or begins the next one. */
  #write(kind: 'thinking' | 'text' | number, block: object): void {
    this.#begin();
    if (this.#open === kind) return;
    this.#close();
    this.#open = kind;
    this.#blocks += 1;
    this.#events.send('content_block_start', { index: this.#blocks - 1, content_block: block });
  }

  #send(delta: object): void {
    this.#events.send('content_block_delta', { index: this.#blocks - 1, delta });
  }

  #close(): void {
    if (this.#open === undefined) return;
    this.#open = undefined;
    this.#events.send('content_block_stop', { index: this.#blocks - 1 });
  }
}
