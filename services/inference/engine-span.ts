import type { GenerateRequest } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { FinishReasonSchema } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { Engine } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { asMeshError } from '../shared/errors/connect-error.ts';
import { NAMES } from '../shared/observability/telemetry-names.ts';
import type { TraceHeaders } from '../shared/observability/trace-headers.ts';
import { type Attributes, type Span, tracer } from '../shared/observability/tracer.ts';
import type { GenerationNotes, GenerationSpan } from '../shared/transport/traced-generate.ts';
import { AnswerContent, promptContent } from './engine-span-content.ts';

/** What is asked of an engine, as conventions for generative AI call it. */
type Operation = 'chat' | 'text_completion' | 'embeddings';

/** What every span of a call of an engine says. */
function attributesOf(engine: Engine, operation: Operation): Attributes {
  return {
    [NAMES.genAiOperation]: operation,
    [NAMES.genAiProvider]: engine.kind,
    [NAMES.genAiRequestModel]: engine.modelId || engine.name,
    [NAMES.engine]: engine.name,
    ...serverOf(engine),
  };
}

/** Its name has the model that the engine runs, which nobody else chose. */
function nameOf(engine: Engine, operation: Operation): string {
  return `${operation} ${engine.modelId || engine.name}`;
}

/** The span of a generation at an engine: its own time, without our waiting. Spans of the engine itself are parts of it. */
export function engineGeneration(engine: Engine): GenerationSpan {
  return {
    kind: 'client',
    name: (request) => nameOf(engine, operationOf(request)),
    attributes: (request, { requestId }) => ({
      ...attributesOf(engine, operationOf(request)),
      ...samplingOf(request),
      ...(tracer().recordsContent ? contentOf(request) : {}),
      [NAMES.requestId]: requestId,
    }),
    notes: notesOf,
  };
}

/** Runs a small call of an engine in a span of its own. */
export async function inEngineSpan<T>(
  engine: Engine | undefined,
  operation: Operation,
  parent: TraceHeaders | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (!tracer().isOn || !engine) return await work();
  const attributes = attributesOf(engine, operation);
  const span = tracer().begin(nameOf(engine, operation), { kind: 'client', parent, attributes });
  try {
    return await span.within(work);
  } catch (error) {
    span.fail(asMeshError(error).reason);
    throw error;
  } finally {
    span.end();
  }
}

function notesOf(span: Span): GenerationNotes {
  const content = tracer().recordsContent ? new AnswerContent() : undefined;
  const finishReasons: string[] = [];
  return {
    readsDeltas: content !== undefined,
    event({ event }) {
      switch (event.case) {
        case 'started':
          span.set({ [NAMES.genAiResponseModel]: event.value.modelId });
          break;
        case 'delta':
          content?.add(event.value);
          break;
        case 'finished':
          finishReasons[event.value.choice] =
            FinishReasonSchema.value[event.value.reason]?.localName.toLowerCase() ?? '';
          break;
        case 'usage':
          span.set({
            [NAMES.genAiInputTokens]: event.value.promptTokens,
            [NAMES.genAiOutputTokens]: event.value.completionTokens,
            [NAMES.genAiCachedTokens]: event.value.cachedTokens || undefined,
            [NAMES.genAiReasoningTokens]: event.value.reasoningTokens || undefined,
          });
          break;
      }
    },
    firstToken: (afterMs) => span.set({ [NAMES.genAiTimeToFirstChunk]: afterMs / 1_000 }),
    over(error) {
      if (finishReasons.length > 0)
        span.set({ [NAMES.genAiFinishReasons]: Array.from(finishReasons, (one) => one ?? '') });
      if (content) span.set({ [NAMES.genAiOutput]: content.messages(finishReasons) });
      if (error) span.fail(error.reason);
    },
  };
}

function operationOf({ prompt }: GenerateRequest): Operation {
  return prompt?.input.case === 'chat' ? 'chat' : 'text_completion';
}

/** What callers wrote. */
function contentOf(request: GenerateRequest): Attributes {
  const { stop = [] } = request.sampling ?? {};
  return {
    [NAMES.genAiInput]: promptContent(request),
    [NAMES.genAiStopSequences]: stop.length > 0 ? stop : undefined,
  };
}

function samplingOf({ sampling, responseFormat }: GenerateRequest): Attributes {
  return {
    [NAMES.genAiStream]: true,
    [NAMES.genAiOutputType]: responseFormat ? 'json' : undefined,
    [NAMES.genAiMaxTokens]: sampling?.maxTokens,
    [NAMES.genAiTemperature]: sampling?.temperature,
    [NAMES.genAiTopP]: sampling?.topP,
    [NAMES.genAiTopK]: sampling?.topK,
    [NAMES.genAiSeed]: sampling?.seed === undefined ? undefined : Number(sampling.seed),
    [NAMES.genAiFrequencyPenalty]: sampling?.frequencyPenalty,
    [NAMES.genAiPresencePenalty]: sampling?.presencePenalty,
    // As conventions have it, only where it is not one.
    [NAMES.genAiChoices]: (sampling?.choices ?? 1) > 1 ? sampling?.choices : undefined,
  };
}

/** What was read of the addresses of engines: that costs more than the rest of a span. */
const servers = new WeakMap<Engine, { readonly address: string; readonly attributes: Attributes }>();

function serverOf(engine: Engine): Attributes {
  const { address } = engine;
  const known = servers.get(engine);
  if (known?.address === address) return known.attributes;
  const attributes = serverAt(address);
  servers.set(engine, { address, attributes });
  return attributes;
}

/** Where an engine is. Of one on a socket that is a path of this machine, which is nobody's business. */
function serverAt(address: string): Attributes {
  const url = URL.parse(address);
  if (!url?.hostname) return {};
  return { [NAMES.serverAddress]: url.hostname, [NAMES.serverPort]: url.port ? Number(url.port) : undefined };
}
