import type { FastifyReply, FastifyRequest } from 'fastify';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import { factsOf } from '../../shared/observability/request-facts.ts';
import { CALL_TIMEOUT_MS, requestOptions } from '../http/caller.ts';
import { JSON_TYPE } from '../http/json-type.ts';
import { rateLimitHeaders } from '../http/rate-limit-headers.ts';
import { validBody } from '../http/validate.ts';
import { queueBodySchema, queueRequest } from './queue-request.ts';
import { acceptedBody } from './task-answer.ts';
import type { TaskRouteContext } from './task-context.ts';

/** As long as the contract takes. */
const KEY = /^[\x20-\x7e]{1,256}$/;

/** Answers a queued `POST /generate`: accepted once it is durable. */
export async function submitTask(
  { tasks, clientIp, limitBook, queueDefaults }: TaskRouteContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const body = validBody(queueBodySchema, request.body);
  const generateRequest = queueRequest(body, queueDefaults);
  const facts = factsOf(request.raw);
  if (facts) facts.endUser = generateRequest.endUser || undefined;
  const options = requestOptions(request, clientIp, { timeoutMs: CALL_TIMEOUT_MS });
  const submission = { request: generateRequest, idempotencyKey: keyOf(request) };
  const { task, limits } = await tasks.submit(submission, options);
  if (!task) throw new Error('an accepted task is missing');
  if (limits.length > 0) limitBook.remember(request, limits);
  const known = limits.length > 0 ? limits : await limitBook.of(request);
  await reply
    .code(202)
    .headers(rateLimitHeaders(known))
    .type(JSON_TYPE)
    .send(JSON.stringify(acceptedBody(task)));
}

function keyOf({ headers }: FastifyRequest): string {
  const key = headers['idempotency-key'];
  if (key === undefined || key === '') return '';
  if (typeof key === 'string' && KEY.test(key)) return key;
  throw invalidField('Idempotency-Key', 'expected one header of 1 to 256 printable characters');
}
