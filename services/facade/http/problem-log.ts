import { ConnectError } from '@connectrpc/connect';
import type { FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { factsOf } from '../../shared/observability/request-facts.ts';
import { problemOf } from './errors.ts';

/**
 * Notes why a request was not answered as it asked: what is our fault as an error, a client that left as 499, which it would
 * not read, anything else for those who look closer.
 */
export function logProblem(log: Logger, error: unknown, request: FastifyRequest): void {
  const { status, code, param } = problemOf(error);
  noteProblem(request, status, isOfMesh(error) ? asMeshError(error).reason : code);
  const traceId = factsOf(request.raw)?.traceId;
  const facts = {
    ...{ requestId: request.id, ...(traceId !== undefined && { traceId }) },
    ...{ method: request.method, route: request.routeOptions.url, status },
  };
  if (status >= 500) log.error({ ...facts, err: error }, 'request failed');
  else if (status === 499) log.info({ ...facts, code }, 'client left');
  else log.debug({ ...facts, code, param }, 'request refused');
}

/** Whether it has a reason of the contract; what HTTP alone refuses has a short word. */
function isOfMesh(error: unknown): boolean {
  return error instanceof MeshError || error instanceof ConnectError;
}

/** For the request log; the first reason counts. */
function noteProblem({ raw }: FastifyRequest, status: number, reason: string | null): void {
  const facts = factsOf(raw);
  if (!facts) return;
  facts.status ??= status;
  facts.reason ??= reason ?? undefined;
}
