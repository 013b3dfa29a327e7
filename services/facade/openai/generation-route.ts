import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Started } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { Generate } from '../../shared/transport/generate.ts';
import { withRoutingHeaders } from '../http/routing-headers.ts';
import { validBody } from '../http/validate.ts';
import type { AnswerHead } from './answer-parts.ts';
import type { EventFrames } from './chat-chunk.ts';
import type { Collector } from './collector.ts';
import { Exchange, type ExchangeResources } from './exchange.ts';
import { streamAnswer } from './stream-answer.ts';
import { unaryAnswer } from './unary-answer.ts';

/** What every generation body says about its answer. */
interface StreamableBody {
  model: string;
  stream?: boolean | null | undefined;
  stream_options?: { include_usage?: boolean | null | undefined } | null | undefined;
}

/** How a generation endpoint speaks: its body, and both forms of its answer. */
export interface Dialect<B extends StreamableBody> {
  readonly schema: z.ZodObject & z.ZodType<B>;
  readonly idPrefix: string;
  readonly toRequest: (body: B) => GenerateRequest;
  readonly chunks: (head: AnswerHead, includeUsage: boolean) => EventFrames;
  readonly answer: (head: AnswerHead, collected: Collector) => string;
}

/** What generation routes need. */
export interface GenerationRouteContext extends ExchangeResources {
  readonly generate: Generate;
  readonly keepAliveMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Makes the handler of a generation endpoint: body in → one generation → answer in one piece or as a stream. */
export function generationRoute<B extends StreamableBody>(
  dialect: Dialect<B>,
  context: GenerationRouteContext,
): (request: FastifyRequest, reply: FastifyReply) => void {
  return (request, reply) => {
    const body = validBody(dialect.schema, request.body);
    const generateRequest = dialect.toRequest(body);
    withRoutingHeaders(generateRequest, request);
    const id = dialect.idPrefix + request.id;
    const created = Math.floor(context.now() / 1000);
    const headOf = (started: Started | undefined): AnswerHead => ({ id, model: started?.model || body.model, created });
    const exchange = new Exchange(request, reply, context);
    const includeUsage = body.stream_options?.include_usage === true;
    const sink =
      body.stream === true
        ? streamAnswer(
            exchange,
            { framesOf: (started) => dialect.chunks(headOf(started), includeUsage) },
            context.keepAliveMs,
          )
        : unaryAnswer(exchange, (started, collected) => dialect.answer(headOf(started), collected));
    try {
      context.generate(generateRequest, exchange.call, sink);
    } catch (error) {
      sink.fail(asMeshError(error));
    }
  };
}
