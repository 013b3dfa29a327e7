import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { LimitState } from '../../../gen/mesh/quota/v1/limit_pb.ts';
import { isAnthropicShaped } from '../../shared/transport/error-shape.ts';
import { errorBody, type Problem, problemOf } from './errors.ts';
import { JSON_TYPE } from './json-type.ts';
import type { LimitBook } from './limit-book.ts';
import { logProblem } from './problem-log.ts';
import { rateLimitHeaders } from './rate-limit-headers.ts';

/** Answers a request with an error. */
export type SendError = (error: unknown, request: FastifyRequest, reply: FastifyReply) => void;

/**
 * Makes the one function through which every error leaves. A caller with a credential is told the rate limits, which
 * also proves the credential: with a wrong one the answer is 401, whatever else was wrong, unless no such route exists.
 */
export function createSendError(limitBook: LimitBook, log: Logger): SendError {
  return (error, request, reply) => {
    const problem = problemOf(error);
    logProblem(log, error, request);
    if (reply.raw.destroyed) {
      reply.hijack();
      return;
    }
    if (problem.status === 401 || !request.credential) return send(problem, undefined, request, reply);
    if (problem.limits.length > 0) return send(problem, problem.limits, request, reply);
    limitBook.of(request).then(
      (limits) => send(problem, limits, request, reply),
      (lookupError: unknown) => {
        const refusal = problemOf(lookupError);
        send(refusal.status === 401 && !request.is404 ? refusal : problem, undefined, request, reply);
      },
    );
  };
}

function send(
  problem: Problem,
  limits: readonly LimitState[] | undefined,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const { connection, ...headers } = problem.headers;
  sayConnection(connection, request, reply);
  if (limits) reply.headers(rateLimitHeaders(limits));
  if (isAnthropicShaped(request.url)) reply.header('request-id', request.id);
  reply
    .code(problem.status)
    .headers(headers)
    .header('x-request-id', request.id)
    .type(JSON_TYPE)
    .send(errorBody(problem, request.url));
}

/**
 * Says whether the connection goes on. Fastify would close it after every refused body; Node drops what still arrives of one,
 * within the time that the listener gives a request. What the listener says, which closes connections while it drains, stays.
 */
function sayConnection(own: string | undefined, { raw }: FastifyRequest, reply: FastifyReply): void {
  // HTTP/2 has no such header.
  if (raw.httpVersionMajor !== 1) return void reply.removeHeader('connection');
  const ofListener = reply.raw.getHeader('connection');
  if (own !== undefined) reply.header('connection', own);
  else if (reply.getHeader('connection') !== ofListener) {
    reply.header('connection', ofListener ?? (reply.raw.shouldKeepAlive ? 'keep-alive' : 'close'));
  }
}
