import type { OutgoingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { GenerationEvent, Started } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { type Problem, problemOf } from '../http/errors.ts';
import { withRoutingHeaders } from '../http/routing-headers.ts';
import { validBody } from '../http/validate.ts';
import type { AnswerHead } from './answer-parts.ts';
import type { Collector } from './collector.ts';
import { Exchange } from './exchange.ts';
import type { GenerationRouteContext } from './generation-route.ts';
import { type StreamForm, streamAnswer } from './stream-answer.ts';
import { unaryAnswer } from './unary-answer.ts';

/** The events of one streamed answer. */
export interface TranslatedEvents {
  framesOf(event: GenerationEvent): string;
  /** What ends a stream that is complete; never empty. */
  lastFrames(): string;
  errorFrames(problem: Problem): string;
}

/** An API that is told in the words of another. */
export interface Translation<B extends { model: string; stream?: boolean | null | undefined }> {
  readonly schema: z.ZodObject & z.ZodType<B>;
  readonly idPrefix: string;
  readonly toRequest: (body: B) => GenerateRequest;
  readonly answer: (head: AnswerHead, collected: Collector, body: B) => string;
  readonly events: (head: AnswerHead, body: B) => TranslatedEvents;
  /** The name of a field of the chat that a request becomes → that of the body. */
  readonly fieldOf: (field: string) => string;
  /** Further headers of every answer. */
  readonly headersOf?: (request: FastifyRequest) => OutgoingHttpHeaders;
}

/** Makes the handler of an endpoint that translates another API: one generation, answered in one piece or as named events. */
export function translatedRoute<B extends { model: string; stream?: boolean | null | undefined }>(
  translation: Translation<B>,
  context: GenerationRouteContext,
): (request: FastifyRequest, reply: FastifyReply) => void {
  return (request, reply) => {
    const headers = translation.headersOf?.(request) ?? {};
    reply.headers(headers);
    const body = validBody(translation.schema, request.body);
    const id = translation.idPrefix + request.id;
    const created = Math.floor(context.now() / 1000);
    const headOf = (started: Started | undefined): AnswerHead => ({ id, model: started?.model || body.model, created });
    const generateRequest = translation.toRequest(body);
    withRoutingHeaders(generateRequest, request);
    const exchange = new Exchange(request, reply, context);
    const form = { ...streamForm((started) => translation.events(headOf(started), body)), headers };
    const sink =
      body.stream === true
        ? streamAnswer(exchange, form, context.keepAliveMs)
        : unaryAnswer(exchange, (started, collected) => translation.answer(headOf(started), collected, body));
    const fail = (error: unknown): void => sink.fail(renamed(translation, asMeshError(error)));
    try {
      context.generate(generateRequest, exchange.call, {
        event: (event) => sink.event(event),
        end: () => sink.end(),
        fail,
      });
    } catch (error) {
      fail(error);
    }
  };
}

function streamForm(eventsOf: (started: Started | undefined) => TranslatedEvents): StreamForm {
  let made: TranslatedEvents | undefined;
  const events = (started?: Started): TranslatedEvents => {
    made ??= eventsOf(started);
    return made;
  };
  return {
    framesOf: (started) => {
      const own = events(started);
      return (event) => own.framesOf(event);
    },
    lastFrames: () => events().lastFrames(),
    errorFrames: (error) => events().errorFrames(problemOf(error)),
  };
}

/** An error about a field of the chat that a request became names the field of the body. */
function renamed({ fieldOf }: Pick<Translation<never>, 'fieldOf'>, error: MeshError): MeshError {
  const { reason, message, metadata, retryAfterMs, limits, cause } = error;
  const isTooLong = reason === 'CONTEXT_LENGTH_EXCEEDED';
  const told = metadata.field?.replace(/^(?:sampling|engine_options)\./, '') ?? (isTooLong ? 'messages' : undefined);
  if (told === undefined || fieldOf(told) === told) return error;
  const field = fieldOf(told);
  return new MeshError(reason, message.replace(told, field), {
    ...{ metadata: { ...metadata, field }, limits, cause },
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
