import {
  type Delta,
  FinishReason,
  type GenerationEvent,
  type TokenLogprob,
  type ToolCallDelta,
  type Usage,
} from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { Problem } from '../http/errors.ts';
import { NamedEvents } from '../http/named-events.ts';
import type { AnswerHead } from '../openai/answer-parts.ts';
import { itemId } from './response-answer.ts';
import {
  earlyEndOf,
  itemObject,
  type OutputItem,
  partObject,
  responseObject,
  type Status,
  tokenLogprob,
} from './response-object.ts';
import type { ResponsesBody } from './responses-schema.ts';

type Message = Extract<OutputItem, { kind: 'message' }>;

/** The events of one streamed answer, as the frames of an event stream. */
export class ResponseEvents {
  readonly #head: AnswerHead;
  readonly #body: ResponsesBody;
  readonly #items: OutputItem[] = [];
  /** Where the calls are among the items, by their index within the answer. */
  readonly #calls = new Map<number, number>();
  /** The item that is being written; the ones before it are done. */
  #open: number | undefined;
  #reason: FinishReason = FinishReason.UNSPECIFIED;
  #usage: Usage | undefined;
  readonly #events = new NamedEvents();

  constructor(head: AnswerHead, body: ResponsesBody) {
    this.#head = head;
    this.#body = body;
  }

  /** What an event becomes; empty for one that clients do not see. */
  framesOf({ event }: GenerationEvent): string {
    if (event.case === 'delta') this.#onDelta(event.value);
    else if (event.case === 'finished') this.#reason = event.value.reason;
    else if (event.case === 'usage') this.#usage = event.value;
    return this.#events.take();
  }

  /** The end of what is open, and the whole answer. */
  lastFrames(): string {
    this.#begin();
    if (this.#items.length === 0) this.#add(emptyMessage(this.#nextId('message')));
    const status = earlyEndOf(this.#reason) === undefined ? 'completed' : 'incomplete';
    this.#close(status);
    const last = this.#items.length - 1;
    const output = this.#items.map((item, at) => itemObject(item, at === last ? status : 'completed'));
    const state = { status, output, reason: this.#reason, usage: this.#usage } as const;
    this.#send(`response.${status}`, { response: responseObject(this.#head, this.#body, state) });
    return this.#events.take();
  }

  /** What tells an error in mid-stream; clients read either form of it. */
  errorFrames({ message, type, code, param }: Problem): string {
    this.#send('error', { code, message, param, error: { message, type, code, param } });
    return this.#events.take();
  }

  #onDelta(delta: Delta): void {
    this.#begin();
    if (delta.reasoning !== '') this.#onReasoning(delta.reasoning);
    if (delta.text !== '' || delta.logprobs.length > 0) this.#onText(delta.text, delta.logprobs);
    for (const fragment of delta.toolCalls) this.#onCall(fragment);
  }

  #begin(): void {
    if (this.#events.sent > 0) return;
    const response = responseObject(this.#head, this.#body, { status: 'in_progress', output: [] });
    this.#send('response.created', { response });
    this.#send('response.in_progress', { response });
  }

  #onReasoning(delta: string): void {
    const at = this.#at('reasoning') ?? this.#add({ kind: 'reasoning', id: this.#nextId('reasoning'), text: '' });
    this.#append(at, delta);
    this.#sendOf(at, 'response.reasoning_text.delta', { content_index: 0, delta });
  }

  #onText(delta: string, logprobs: readonly TokenLogprob[]): void {
    const at = this.#at('message') ?? this.#add(emptyMessage(this.#nextId('message')));
    const item = this.#append(at, delta);
    if (item?.kind === 'message') item.logprobs.push(...logprobs);
    const told = logprobs.map(tokenLogprob);
    this.#sendOf(at, 'response.output_text.delta', { content_index: 0, delta, logprobs: told });
  }

  #onCall({ index, id, name, arguments: delta }: ToolCallDelta): void {
    let at = this.#calls.get(index);
    if (at === undefined) {
      at = this.#add({ kind: 'call', id: this.#nextId('call'), callId: id ?? '', name: name ?? '', text: '' });
      this.#calls.set(index, at);
    }
    this.#append(at, delta);
    if (delta !== '') this.#sendOf(at, 'response.function_call_arguments.delta', { delta });
  }

  /** Where the open item is, if it is of that kind. */
  #at(kind: OutputItem['kind']): number | undefined {
    return this.#open !== undefined && this.#items[this.#open]?.kind === kind ? this.#open : undefined;
  }

  #nextId(kind: OutputItem['kind']): string {
    return itemId(this.#head, kind, this.#items.length);
  }

  #add(item: OutputItem): number {
    this.#close('completed');
    const at = this.#items.push(item) - 1;
    this.#open = at;
    const added = itemObject(item, 'in_progress');
    // Its parts are told one by one.
    this.#send('response.output_item.added', {
      output_index: at,
      item: item.kind === 'call' ? added : { ...added, content: [] },
    });
    if (item.kind !== 'call') this.#sendOf(at, 'response.content_part.added', partOf(item));
    return at;
  }

  #append(at: number, text: string): OutputItem | undefined {
    const item = this.#items[at];
    if (item) item.text += text;
    return item;
  }

  #close(status: Status): void {
    const at = this.#open;
    const item = at === undefined ? undefined : this.#items[at];
    if (at === undefined || !item) return;
    this.#open = undefined;
    if (item.kind === 'call') {
      this.#sendOf(at, 'response.function_call_arguments.done', { name: item.name, arguments: item.text });
    } else {
      const logprobs = item.kind === 'message' ? { logprobs: item.logprobs.map(tokenLogprob) } : {};
      const type = item.kind === 'message' ? 'response.output_text.done' : 'response.reasoning_text.done';
      this.#sendOf(at, type, { content_index: 0, text: item.text, ...logprobs });
      this.#sendOf(at, 'response.content_part.done', partOf(item));
    }
    this.#send('response.output_item.done', { output_index: at, item: itemObject(item, status) });
  }

  #sendOf(at: number, type: string, fields: object): void {
    this.#send(type, { item_id: this.#items[at]?.id, output_index: at, ...fields });
  }

  #send(type: string, fields: object): void {
    this.#events.send(type, { sequence_number: this.#events.sent, ...fields });
  }
}

function emptyMessage(id: string): Message {
  return { kind: 'message', id, text: '', logprobs: [] };
}

function partOf(item: Exclude<OutputItem, { kind: 'call' }>): object {
  return { content_index: 0, part: partObject(item) };
}
