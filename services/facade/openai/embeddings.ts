import type { Client } from '@connectrpc/connect';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { EmbedRequest } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import type { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { noteEmbedding } from '../../shared/observability/generation-notes.ts';
import { requestOptions } from '../http/caller.ts';
import type { Endpoint } from '../http/endpoint.ts';
import { JSON_TYPE } from '../http/json-type.ts';
import { rateLimitHeaders } from '../http/rate-limit-headers.ts';
import { refuseEngineHeader } from '../http/routing-headers.ts';
import { validBody } from '../http/validate.ts';
import { type EmbeddingsBody, embeddingsAnswerSchema, embeddingsBodySchema } from './embeddings-schema.ts';
import { asEmbeddingsError, embeddingsAnswer, embedRequest } from './embeddings-translation.ts';
import { Exchange, type ExchangeResources } from './exchange.ts';

/** What the route needs. */
export interface EmbeddingsRouteContext extends ExchangeResources {
  readonly router: Client<typeof RouterService>;
}

/** `POST /v1/embeddings`. */
export const embeddingsEndpoint: Endpoint<EmbeddingsRouteContext> = {
  method: 'POST',
  path: '/v1/embeddings',
  access: 'caller',
  startsWork: true,
  tag: 'OpenAI',
  summary: 'Turn texts into vectors',
  description:
    "As OpenAI's. The model must be one that makes vectors. All inputs are one request and are charged by their tokens.",
  body: {
    name: 'EmbeddingsRequest',
    schema: embeddingsBodySchema,
    examples: {
      text: { input: 'The quick brown fox' },
      'several texts': { input: ['The quick brown fox', 'jumps over the lazy dog'], encoding_format: 'float' },
      'token ids': { input: [[40, 41], [42]], dimensions: 256 },
    },
  },
  answers: {
    200: {
      description: 'One vector per input, in order.',
      json: {
        name: 'EmbeddingsResponse',
        schema: embeddingsAnswerSchema,
        example: {
          object: 'list',
          data: [{ object: 'embedding', index: 0, embedding: [0.0125, -0.75, 0.5] }],
          model: 'my-embedder',
          usage: { prompt_tokens: 4, total_tokens: 4 },
        },
      },
    },
  },
  errors: { 404: 'There is no such model.' },
  handler: (context) => (request, reply) => {
    refuseEngineHeader(request);
    const body = validBody(embeddingsBodySchema, request.body);
    void answer(context, embedRequest(body), body, { request, reply });
  },
};

async function answer(
  context: EmbeddingsRouteContext,
  wanted: EmbedRequest,
  body: EmbeddingsBody,
  { request, reply }: { readonly request: FastifyRequest; readonly reply: FastifyReply },
): Promise<void> {
  const exchange = new Exchange(request, reply, context);
  const { signal } = exchange.call;
  try {
    const vectors = await context.router.embed(wanted, requestOptions(request, context.clientIp, { signal }));
    if (exchange.call.facts) noteEmbedding(exchange.call.facts, wanted, vectors);
    if (!exchange.end()) return;
    context.limitBook.remember(request, vectors.limits);
    const headers = {
      ...rateLimitHeaders(vectors.limits),
      ...exchange.overheadHeader(vectors.engineSeconds, vectors.queueSeconds),
    };
    await reply.headers(headers).type(JSON_TYPE).send(embeddingsAnswer(vectors, body));
  } catch (error) {
    if (exchange.end()) await reply.send(asEmbeddingsError(signal.aborted ? signal.reason : error));
  }
}
