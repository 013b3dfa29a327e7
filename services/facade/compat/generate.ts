import type { FastifyReply, FastifyRequest } from 'fastify';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { Generate } from '../../shared/transport/generate.ts';
import type { Endpoint } from '../http/endpoint.ts';
import { routingHeaders, withRoutingHeaders } from '../http/routing-headers.ts';
import { validBody } from '../http/validate.ts';
import { Exchange, type ExchangeResources } from '../openai/exchange.ts';
import { unaryAnswer } from '../openai/unary-answer.ts';
import { SYNCHRONOUS_EXAMPLE, synchronousAnswer, synchronousAnswerSchema } from './synchronous-answer.ts';
import { inRouteWords, synchronousBodySchema, synchronousRequest } from './synchronous-request.ts';
import type { TellsLogprobs } from './tells-logprobs.ts';

/** What the route needs. */
export interface GenerateRouteContext extends ExchangeResources {
  readonly generate: Generate;
  readonly tellsLogprobs: TellsLogprobs;
}

/** `POST /generate`. */
export const generateEndpoint: Endpoint<GenerateRouteContext> = {
  method: 'POST',
  path: '/generate',
  access: 'caller',
  startsWork: true,
  tag: 'Other APIs',
  summary: 'Generate text from one prompt',
  description: 'A body with `model_name` or `parameters` is answered when it is generated.',
  headers: routingHeaders,
  body: {
    name: 'GenerateRequest',
    schema: synchronousBodySchema,
    examples: { synchronous: { prompt: 'The capital of France is', parameters: { max_new_tokens: 16 } } },
  },
  answers: {
    200: {
      description: 'What was generated.',
      json: { name: 'Generated', schema: synchronousAnswerSchema, example: SYNCHRONOUS_EXAMPLE },
    },
  },
  errors: { 404: 'There is no such model.' },
  handler: generateRoute,
};

/** A body with `model_name` or `parameters` is answered when it is generated. */
function generateRoute(context: GenerateRouteContext): (request: FastifyRequest, reply: FastifyReply) => void {
  return (request, reply) => {
    if (!isSynchronous(request.body)) {
      throw invalidField(
        'model_name',
        'this field, or `parameters`, is required: queued generations are not there yet',
      );
    }
    void answer(context, request, reply).catch((error: unknown) => reply.send(error));
  };
}

function isSynchronous(body: unknown): boolean {
  // What is no object at all is refused as that.
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return true;
  const has = (field: string): boolean => Object.hasOwn(body, field) && Reflect.get(body, field) !== null;
  return has('model_name') || has('parameters');
}

async function answer(context: GenerateRouteContext, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const startedAtMs = performance.now();
  const body = validBody(synchronousBodySchema, request.body);
  const exchange = new Exchange(request, reply, context);
  const logprobs = await context.tellsLogprobs(body.model_name ?? '');
  const collecting = unaryAnswer(exchange, (_started, collected) =>
    synchronousAnswer(collected, (performance.now() - startedAtMs) / 1000),
  );
  const sink = { ...collecting, fail: (error: unknown) => collecting.fail(inRouteWords(asMeshError(error))) };
  try {
    const generateRequest = synchronousRequest(body, logprobs);
    withRoutingHeaders(generateRequest, request);
    context.generate(generateRequest, exchange.call, sink);
  } catch (error) {
    sink.fail(error);
  }
}
