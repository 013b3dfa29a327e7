import type { GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';

/** The variable part of an event's size. A token with its log-probabilities counts as 64 characters per alternative. */
export function charactersOf({ event }: GenerationEvent): number {
  if (event.case !== 'delta') return 0;
  const { text, reasoning, toolCalls, logprobs } = event.value;
  let characters = text.length + reasoning.length;
  for (const call of toolCalls) characters += call.arguments.length;
  for (const token of logprobs) characters += 64 * (1 + token.top.length);
  return characters;
}
