import { FinishReason } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { AnswerHead } from '../openai/answer-parts.ts';
import type { CollectedChoice, Collector } from '../openai/collector.ts';
import { earlyEndOf, ID_PREFIX, itemObject, type OutputItem, responseObject } from './response-object.ts';
import type { ResponsesBody } from './responses-schema.ts';

/** A collected generation → the body of the answer. */
export function responseAnswer(head: AnswerHead, collected: Collector, body: ResponsesBody): string {
  const choice = collected.choices()[0]?.[1];
  const reason = choice?.finishReason ?? FinishReason.UNSPECIFIED;
  const status = earlyEndOf(reason) === undefined ? 'completed' : 'incomplete';
  const items = choice ? itemsOf(head, choice) : [];
  // Only the last one can have been cut.
  const output = items.map((item, at) => itemObject(item, at === items.length - 1 ? status : 'completed'));
  return JSON.stringify(responseObject(head, body, { status, output, reason, usage: collected.usage() }));
}

function itemsOf(head: AnswerHead, { reasoning, text, logprobs, toolCalls }: CollectedChoice): OutputItem[] {
  const items: OutputItem[] = [];
  const idOf = (kind: OutputItem['kind']): string => itemId(head, kind, items.length);
  if (reasoning !== '') items.push({ kind: 'reasoning', id: idOf('reasoning'), text: reasoning });
  // An answer without anything has a message that says nothing.
  if (text !== '' || toolCalls.size === 0) items.push({ kind: 'message', id: idOf('message'), text, logprobs });
  for (const [, call] of [...toolCalls].sort(([a], [b]) => a - b)) {
    items.push({ kind: 'call', id: idOf('call'), callId: call.id, name: call.name, text: call.arguments });
  }
  return items;
}

/** The id of an item: that of its answer, with its place in it. */
export function itemId({ id }: AnswerHead, kind: OutputItem['kind'], at: number): string {
  return `${ID_PREFIX[kind]}${id.replace(/^resp_/, '')}_${at}`;
}
