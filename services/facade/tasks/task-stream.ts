import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { WatchResponse } from '../../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { invalidField, MeshError } from '../../shared/errors/mesh-error.ts';
import { requestOptions } from '../http/caller.ts';
import type { Endpoint } from '../http/endpoint.ts';
import { rateLimitHeaders } from '../http/rate-limit-headers.ts';
import { createSseStream, type SseStream } from '../http/sse.ts';
import { Exchange } from '../openai/exchange.ts';
import { completedSchema, errorSchema, eventBody, statusSchema } from './task-answer.ts';
import { EXAMPLE_TASK_ID, type TaskRouteContext, taskIdOf, taskParams } from './task-context.ts';

const EXAMPLE = [
  { status: 'processing', task_id: EXAMPLE_TASK_ID, message: 'Your request is being processed.' },
  { status: 'processing', delta: 'Paris.' },
]
  .map((body, i) => `id: ${i + 2}\ndata: ${JSON.stringify(body)}\n\n`)
  .join('');

/** `GET /stream/{task_id}`. */
export const taskStreamEndpoint: Endpoint<TaskRouteContext> = {
  method: 'GET',
  path: '/stream/{task_id}',
  access: 'caller',
  keyInUrl: true,
  tag: 'Tasks',
  summary: 'Follow a task',
  description:
    'The events of a task, from the first, or after `Last-Event-ID`, to the last; then the stream closes. Every one has an id. ' +
    '"processing" with a `task_id` begins the text anew: the run before it was lost. A browser’s `EventSource`, which cannot set ' +
    'headers, may send its key as `?api_key=`, here alone.',
  params: taskParams,
  query: z.object({
    last_event_id: z.string().optional().describe('As the header `Last-Event-ID`, which goes before it.'),
    api_key: z.string().optional().describe('An API key.'),
  }),
  headers: z.object({ 'last-event-id': z.string().optional().describe('The last event that you have.') }),
  answers: {
    200: {
      description: 'Its events.',
      events: {
        name: 'TaskEvent',
        schema: z.union([
          completedSchema,
          errorSchema,
          z.object({ status: z.literal('processing'), delta: z.string().describe('More of the text.') }),
          statusSchema,
        ]),
        example: EXAMPLE,
      },
    },
    204: { description: 'There are no more: you have the last one.' },
  },
  errors: { 404: 'There is no such task, or it is another’s, or its time is over.' },
  handler: taskStreamRoute,
};

function taskStreamRoute(context: TaskRouteContext): (request: FastifyRequest, reply: FastifyReply) => void {
  return (request, reply) => {
    const taskId = taskIdOf(request);
    const afterEventId = lastEventId(request);
    const exchange = new Exchange(request, reply, context);
    const { signal, flow } = exchange.call;
    const stream = createSseStream(reply.raw, {
      keepAliveMs: context.keepAliveMs,
      flow,
      head() {
        reply.hijack();
        return { 'x-request-id': request.id, ...rateLimitHeaders(exchange.limits ?? []) };
      },
      onSilentStart: (open) => void exchange.lookUpLimits().then(open),
    });
    const options = requestOptions(request, context.clientIp, { signal });
    const events = context.tasks.watch({ taskId, afterEventId }, options);
    void follow(exchange, stream, taskId, events);
  };
}

/** Sends the events. A watch that breaks ends the answer without a last event, so that its reader comes back for the rest. */
async function follow(
  exchange: Exchange,
  stream: SseStream,
  taskId: string,
  events: AsyncIterable<WatchResponse>,
): Promise<void> {
  const { request, reply, call } = exchange;
  const resumed = whenResumed(call);
  try {
    let hasEvents = false;
    for await (const event of events) {
      if (!hasEvents) await exchange.lookUpLimits();
      hasEvents = true;
      stream.send(`id: ${event.eventId}\ndata: ${JSON.stringify(eventBody(taskId, event))}\n\n`);
      // Its answer is the head alone, and must not hold the connection until the task has ended.
      if (request.method === 'HEAD') {
        exchange.abort(new MeshError('CLIENT_GONE', 'Only the head was asked for.'));
        break;
      }
      await resumed();
    }
    if (!hasEvents && !stream.isOpen()) await exchange.lookUpLimits();
    if (!exchange.end()) return;
    if (hasEvents || stream.isOpen()) return stream.finish('');
    stream.stop();
    reply
      .code(204)
      .headers(rateLimitHeaders(exchange.limits ?? []))
      .send();
  } catch (error) {
    if (!exchange.end()) return;
    const failure = asMeshError(error);
    if (!stream.isOpen()) {
      stream.stop();
      reply.send(failure);
      return;
    }
    exchange.logFailure(failure);
    stream.finish('');
  }
}

/** Returns what waits as long as the reader does not read, or until he is gone. */
function whenResumed({ flow, signal }: Exchange['call']): () => Promise<void> {
  let wake: () => void = () => {};
  flow.connect((paused) => {
    if (!paused) wake();
  });
  signal.addEventListener('abort', () => wake());
  return async () => {
    if (!flow.paused || signal.aborted) return;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  };
}

/** @throws MeshError INVALID_FIELD */
function lastEventId({ headers, query }: FastifyRequest): bigint {
  const { last_event_id: inQuery } = query as { last_event_id?: unknown };
  const given = headers['last-event-id'] ?? inQuery ?? '';
  if (given === '') return 0n;
  if (typeof given !== 'string' || !/^\d{1,15}$/.test(given)) {
    throw invalidField('Last-Event-ID', 'expected the id of an event of this stream, a number');
  }
  return BigInt(given);
}
