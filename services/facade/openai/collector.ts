import {
  type Delta,
  type Finished,
  FinishReason,
  type GenerationEvent,
  type TokenLogprob,
  type ToolCallDelta,
  type Usage,
} from '../../../gen/mesh/generation/v1/generation_event_pb.ts';

/** A tool call put together from its fragments. */
export interface CollectedToolCall {
  id: string;
  name: string;
  arguments: string;
}

/** One choice put together from its deltas. */
export interface CollectedChoice {
  text: string;
  reasoning: string;
  /** By index within the answer. */
  readonly toolCalls: Map<number, CollectedToolCall>;
  readonly logprobs: TokenLogprob[];
  readonly tokenIds: number[];
  finishReason: FinishReason;
  /** The stop text that ended it. */
  matchedStop: string | undefined;
}

/** Puts an answer together from the events of its generation. */
export interface Collector {
  /** Takes the next event. */
  add(event: GenerationEvent): void;
  /** The choices by index, in order. */
  choices(): [index: number, choice: CollectedChoice][];
  /** The bill; unset until the last event. */
  usage(): Usage | undefined;
}

/** Makes an empty Collector. */
export function createCollector(): Collector {
  const choices = new Map<number, CollectedChoice>();
  let usage: Usage | undefined;
  const choiceAt = (index: number): CollectedChoice => {
    const known = choices.get(index);
    if (known) return known;
    const choice = emptyChoice();
    choices.set(index, choice);
    return choice;
  };
  return {
    add: ({ event }) => {
      if (event.case === 'delta') addDelta(choiceAt(event.value.choice), event.value);
      else if (event.case === 'finished') finish(choiceAt(event.value.choice), event.value);
      else if (event.case === 'usage') usage = event.value;
    },
    choices: () => [...choices].sort(([a], [b]) => a - b),
    usage: () => usage,
  };
}

function emptyChoice(): CollectedChoice {
  return {
    text: '',
    reasoning: '',
    toolCalls: new Map(),
    logprobs: [],
    tokenIds: [],
    finishReason: FinishReason.UNSPECIFIED,
    matchedStop: undefined,
  };
}

function finish(choice: CollectedChoice, { reason, matchedStop }: Finished): void {
  choice.finishReason = reason;
  choice.matchedStop = matchedStop;
}

function addDelta(choice: CollectedChoice, delta: Delta): void {
  choice.text += delta.text;
  choice.reasoning += delta.reasoning;
  for (const fragment of delta.toolCalls) addFragment(choice.toolCalls, fragment);
  for (const token of delta.logprobs) choice.logprobs.push(token);
  for (const id of delta.tokenIds) choice.tokenIds.push(id);
}

function addFragment(calls: Map<number, CollectedToolCall>, fragment: ToolCallDelta): void {
  const call = calls.get(fragment.index) ?? { id: '', name: '', arguments: '' };
  calls.set(fragment.index, call);
  if (fragment.id !== undefined) call.id = fragment.id;
  if (fragment.name !== undefined) call.name = fragment.name;
  call.arguments += fragment.arguments;
}
