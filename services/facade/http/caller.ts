import type { CallOptions } from '@connectrpc/connect';
import type { FastifyRequest } from 'fastify';
import type { AddressedRequest } from '../../shared/interceptors/client-ip.ts';
import { CLIENT_IP_HEADER, FORWARDED_HEADER, REQUEST_ID_HEADER } from '../../shared/transport/mesh-headers.ts';

/** Longest wait for a unary call behind a GET, in milliseconds. */
export const CALL_TIMEOUT_MS = 5000;

/**
 * Options of a call on behalf of the caller of an HTTP request, in its trace, under its id and address: a key may be bound to addresses.
 * Without `timeoutMs` it takes as long as it takes.
 */
export function requestOptions(
  request: FastifyRequest,
  clientIp: (request: AddressedRequest) => string | undefined,
  limits: Pick<CallOptions, 'signal' | 'timeoutMs'>,
): CallOptions {
  const address = clientIp(request.raw);
  const headers = {
    // Without either the call would be taken for the facade's own.
    ...(request.credential ? { authorization: `Bearer ${request.credential}` } : { [FORWARDED_HEADER]: '1' }),
    ...request.span?.headers,
    [REQUEST_ID_HEADER]: request.id,
    ...(address === undefined ? {} : { [CLIENT_IP_HEADER]: address }),
  };
  return { ...limits, headers };
}
