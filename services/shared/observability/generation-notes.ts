import { durationMs } from '@bufbuild/protobuf/wkt';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { EmbedRequest, EmbedResponse } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { GenerationFacts } from './generation-facts.ts';
import type { RequestFacts } from './request-facts.ts';

/** How much of each choice is kept for the request log where that is wanted, in characters, about. */
const MOST_ANSWER_LENGTH = 65_536;

/** Begins what is noted of a generation for the request that it is for; returns what adds what an event tells. */
export function noteGeneration(
  { model, endUser, prompt }: GenerateRequest,
  facts: RequestFacts,
): (event: GenerationEvent) => void {
  const generation = new GenerationFacts(model);
  facts.generation = generation;
  facts.endUser ??= endUser || undefined;
  if (!facts.tellsBodies) return (event) => note(generation, event);
  generation.prompt = prompt;
  const answers: string[] = [];
  generation.answers = answers;
  return (event) => {
    note(generation, event);
    if (event.event.case !== 'delta') return;
    const { choice, text, reasoning, toolCalls } = event.event.value;
    const before = answers[choice] ?? '';
    if (before.length > MOST_ANSWER_LENGTH) return;
    answers[choice] = before + reasoning + text + toolCalls.map((call) => (call.name ?? '') + call.arguments).join('');
  };
}

/** Stands in the way of every token: a comparison and an assignment or two. */
function note(generation: GenerationFacts, { event }: GenerationEvent): void {
  switch (event.case) {
    case 'delta':
      generation.firstTokenAtMs ??= performance.now();
      generation.completionTokens = event.value.completionTokens;
      if (event.value.promptTokens > 0) generation.promptTokens = event.value.promptTokens;
      break;
    case 'started':
      generation.modelId = event.value.modelId;
      generation.engine = event.value.engine;
      generation.queuedMs = event.value.queueTime && durationMs(event.value.queueTime);
      break;
    case 'resumed':
      generation.takeovers += 1;
      break;
    case 'finished':
      generation.finishReason ??= event.value.reason;
      break;
    case 'usage':
      generation.promptTokens = event.value.promptTokens;
      generation.completionTokens = event.value.completionTokens;
      generation.cachedTokens = event.value.cachedTokens;
      generation.reasoningTokens = event.value.reasoningTokens;
      break;
    default:
      break;
  }
}

/** Notes what is known of vectors for the request that they are for. */
export function noteEmbedding(
  facts: RequestFacts,
  { model }: Pick<EmbedRequest, 'model'>,
  answer: EmbedResponse,
): void {
  const { modelId, engine, promptTokens, queueSeconds } = answer;
  const generation = new GenerationFacts(model);
  generation.modelId = modelId;
  generation.engine = engine;
  generation.promptTokens = promptTokens;
  generation.queuedMs = queueSeconds === undefined ? undefined : queueSeconds * 1_000;
  facts.generation = generation;
}
