import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { Generate } from '../../shared/transport/generate.ts';
import type { Endpoint } from '../http/endpoint.ts';
import { errorBody, problemOf } from '../http/errors.ts';
import { routingHeaders, withRoutingHeaders } from '../http/routing-headers.ts';
import { validBody } from '../http/validate.ts';
import { Exchange, type ExchangeResources } from '../openai/exchange.ts';
import { streamAnswer } from '../openai/stream-answer.ts';
import { unaryAnswer } from '../openai/unary-answer.ts';
import { plainChatAnswer, plainChatStream } from './plain-chat-answer.ts';
import { type PlainChatDefaults, plainChatBodySchema, plainChatRequest } from './plain-chat-request.ts';

/** What the route needs. */
export interface PlainChatContext extends ExchangeResources {
  readonly generate: Generate;
  readonly keepAliveMs: number;
  readonly chatDefaults: PlainChatDefaults;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const answer = { response: 'Hello!', timestamp: '2026-11-21T08:15:30.123000+00:00', model: 'Qwen3-8B' };

const answerSchema = z.object({
  response: z.string().describe('What the model answered.'),
  timestamp: z.string().describe('When it had, in UTC.'),
  model: z.string().describe('The last part of the id of the model.'),
});

/** `POST /chat`. */
export const plainChatEndpoint: Endpoint<PlainChatContext> = {
  method: 'POST',
  path: '/chat',
  access: 'caller',
  startsWork: true,
  tag: 'Other APIs',
  summary: 'Answer one message',
  description:
    'By the default model. With `stream: true` the events are `{"delta": "…"}` per group of tokens, the body of the JSON answer ' +
    'and `[DONE]`.',
  headers: routingHeaders,
  body: {
    name: 'PlainChatRequest',
    schema: plainChatBodySchema,
    examples: { plain: { message: 'Hello!', max_tokens: 64 }, stream: { message: 'Hello!', stream: true } },
  },
  answers: {
    200: {
      description: 'The answer.',
      json: { name: 'PlainChatAnswer', schema: answerSchema, example: answer },
      events: {
        name: 'PlainChatEvent',
        schema: z.union([z.object({ delta: z.string().describe('More of the answer.') }), answerSchema]),
        example: `data: {"delta":"Hello"}\n\ndata: {"delta":"!"}\n\ndata: ${JSON.stringify(answer)}\n\ndata: [DONE]\n\n`,
      },
    },
  },
  handler: plainChatRoute,
};

function plainChatRoute(context: PlainChatContext): (request: FastifyRequest, reply: FastifyReply) => void {
  const { generate, keepAliveMs, chatDefaults, now } = context;
  return (request, reply) => {
    const body = validBody(plainChatBodySchema, request.body);
    const generateRequest = plainChatRequest(body, chatDefaults);
    withRoutingHeaders(generateRequest, request);
    const exchange = new Exchange(request, reply, context);
    const errorFrames = (error: unknown): string => `data: ${errorBody(problemOf(error), request.url)}\n\n`;
    const sink =
      body.stream === true
        ? streamAnswer(exchange, { ...plainChatStream(now), errorFrames }, keepAliveMs)
        : unaryAnswer(exchange, (started, collected) => plainChatAnswer(started, collected, now()));
    try {
      generate(generateRequest, exchange.call, sink);
    } catch (error) {
      sink.fail(asMeshError(error));
    }
  };
}
