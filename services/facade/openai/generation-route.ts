import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { Generate } from '../../shared/transport/generate.ts';
import { withRoutingHeaders } from '../http/routing-headers.ts';
import { validBody } from '../http/validate.ts';
import type { AnswerHead } from './answer-parts.ts';
import { chatAnswer } from './chat-answer.ts';
import { chatChunks, type EventFrames } from './chat-chunk.ts';
import { chatRequest } from './chat-request.ts';
import { type ChatBody, chatBodySchema } from './chat-schema.ts';
import type { Collector } from './collector.ts';
import { completionAnswer, completionChunks } from './completion.ts';
import { completionRequest } from './completion-request.ts';
import { type CompletionBody, completionBodySchema } from './completion-schema.ts';
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
interface Dialect<B extends StreamableBody> {
  readonly schema: z.ZodObject & z.ZodType<B>;
  readonly idPrefix: string;
  readonly toRequest: (body: B) => GenerateRequest;
  readonly chunks: (head: AnswerHead, includeUsage: boolean) => EventFrames;
  readonly answer: (head: AnswerHead, collected: Collector) => string;
}

/** `POST /v1/chat/completions`. */
export const chatDialect: Dialect<ChatBody> = {
  schema: chatBodySchema,
  idPrefix: 'chatcmpl-',
  toRequest: chatRequest,
  chunks: chatChunks,
  answer: chatAnswer,
};

/** `POST /v1/completions`. */
export const completionDialect: Dialect<CompletionBody> = {
  schema: completionBodySchema,
  idPrefix: 'cmpl-',
  toRequest: completionRequest,
  chunks: completionChunks,
  answer: completionAnswer,
};

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
    const headOf = (model: string): AnswerHead => ({ id, model: model || body.model, created });
    const exchange = new Exchange(request, reply, context);
    const includeUsage = body.stream_options?.include_usage === true;
    const sink =
      body.stream === true
        ? streamAnswer(exchange, (model) => dialect.chunks(headOf(model), includeUsage), context.keepAliveMs)
        : unaryAnswer(exchange, (model, collected) => dialect.answer(headOf(model), collected));
    try {
      context.generate(generateRequest, exchange.call, sink);
    } catch (error) {
      sink.fail(asMeshError(error));
    }
  };
}
