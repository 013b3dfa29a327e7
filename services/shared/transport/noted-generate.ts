import { durationMs } from '@bufbuild/protobuf/wkt';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { GenerationFacts } from '../observability/generation-facts.ts';
import type { RequestFacts } from '../observability/request-facts.ts';
import type { Generate } from './generate.ts';

/** How much of each choice is kept for the request log where that is wanted, in characters, about. */
const MOST_ANSWER_LENGTH = 65_536;

/** The seam with what it learns of a generation noted for the request that it is for; a generation for none passes as it is. */
export function notedGenerate(generate: Generate): Generate {
  return (request, call, sink) => {
    if (!call.facts) return generate(request, call, sink);
    const note = noteOf(request, call.facts);
    generate(request, call, {
      event(event) {
        note(event);
        sink.event(event);
      },
      end: () => sink.end(),
      fail(error) {
        if (call.facts) call.facts.reason ??= error.reason;
        sink.fail(error);
      },
    });
  };
}

/** The same for a stream that comes from elsewhere as it is. */
export async function* notedEvents(
  request: GenerateRequest,
  facts: RequestFacts,
  events: AsyncIterable<GenerationEvent>,
): AsyncIterable<GenerationEvent> {
  const note = noteOf(request, facts);
  for await (const event of events) {
    note(event);
    yield event;
  }
}

/** Begins the facts of a generation; returns what adds those that an event tells. */
function noteOf(
  { model, endUser, ...request }: GenerateRequest,
  facts: RequestFacts,
): (event: GenerationEvent) => void {
  const generation = new GenerationFacts(model);
  facts.generation = generation;
  facts.endUser ??= endUser || undefined;
  if (!facts.tellsBodies) return (event) => note(generation, event);
  generation.prompt = request.prompt;
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
