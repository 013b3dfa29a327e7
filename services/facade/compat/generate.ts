import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { Generate } from '../../shared/transport/generate.ts';
import type { Endpoint } from '../http/endpoint.ts';
import { routingHeaders, withRoutingHeaders } from '../http/routing-headers.ts';
import { validBody } from '../http/validate.ts';
import { Exchange } from '../openai/exchange.ts';
import { unaryAnswer } from '../openai/unary-answer.ts';
import { queueBodySchema } from '../tasks/queue-request.ts';
import { submitTask } from '../tasks/submit-task.ts';
import { acceptedSchema } from '../tasks/task-answer.ts';
import { EXAMPLE_TASK_ID, type TaskRouteContext } from '../tasks/task-context.ts';
import { SYNCHRONOUS_EXAMPLE, synchronousAnswer, synchronousAnswerSchema } from './synchronous-answer.ts';
import { inRouteWords, synchronousBodySchema, synchronousRequest } from './synchronous-request.ts';
import type { TellsLogprobs } from './tells-logprobs.ts';

/** What the route needs. */
export interface GenerateRouteContext extends TaskRouteContext {
  readonly generate: Generate;
  readonly tellsLogprobs: TellsLogprobs;
}

const ACCEPTED_EXAMPLE = {
  status: 'queued',
  task_id: EXAMPLE_TASK_ID,
  message: 'Your request is being processed. Use the task_id to check status.',
};

/** `POST /generate`. */
export const generateEndpoint: Endpoint<GenerateRouteContext> = {
  method: 'POST',
  path: '/generate',
  access: 'caller',
  startsWork: true,
  tag: 'Other APIs',
  summary: 'Generate text from one prompt, now or later',
  description:
    'A body with `model_name` or `parameters` is answered when it is generated. Any other is a task: it is answered with 202 once ' +
    'nothing can lose it, and `/status`, `/result` and `/stream` tell of it. The same `Idempotency-Key` is the same task.',
  headers: routingHeaders.extend({
    'idempotency-key': z.string().min(1).max(256).optional().describe('Makes a second submission the same task.'),
  }),
  body: {
    name: 'GenerateRequest',
    schema: z.union([synchronousBodySchema, queueBodySchema]),
    examples: {
      synchronous: { prompt: 'The capital of France is', parameters: { max_new_tokens: 16 } },
      task: { prompt: 'The capital of France is', max_tokens: 16 },
    },
  },
  answers: {
    200: {
      description: 'What was generated.',
      json: { name: 'Generated', schema: synchronousAnswerSchema, example: SYNCHRONOUS_EXAMPLE },
    },
    202: {
      description: 'The task was accepted.',
      json: { name: 'AcceptedTask', schema: acceptedSchema, example: ACCEPTED_EXAMPLE },
    },
  },
  errors: { 404: 'There is no such model.' },
  handler: generateRoute,
};

/** A body with `model_name` or `parameters` is answered when it is generated. */
function generateRoute(context: GenerateRouteContext): (request: FastifyRequest, reply: FastifyReply) => unknown {
  return (request, reply) => {
    if (!isSynchronous(request.body)) return submitTask(context, request, reply);
    void answer(context, request, reply).catch((error: unknown) => reply.send(error));
    return undefined;
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
