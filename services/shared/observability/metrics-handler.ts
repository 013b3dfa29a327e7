import { asMeshError } from '../errors/connect-error.ts';
import { credentialOf, joinedHeader } from '../interceptors/credential.ts';
import { type FallbackHandler, type NodeRequest, type NodeResponse, sendError } from '../transport/exchange.ts';
import { METRICS_CONTENT_TYPE } from './metrics.ts';
import type { ReadMetrics } from './metrics-reader.ts';

/** The status of what may go wrong; anything else is ours. */
const STATUSES: Readonly<Record<string, number>> = {
  NOT_FOUND: 404,
  CREDENTIAL_MISSING: 401,
  CREDENTIAL_INVALID: 401,
  CREDENTIAL_CONFLICT: 400,
  SCOPE_MISSING: 403,
};

/** Answers `GET /metrics` and nothing else, for ports without a facade. */
export function createMetricsHandler(read: ReadMetrics): FallbackHandler {
  return (request, response) => {
    if (request.url?.split('?')[0] !== '/metrics') return sendError(response, 404, 'Not found');
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return sendError(response, 405, `This route does not take ${request.method}. Allowed: GET, HEAD.`);
    }
    void answer(read, request, response);
  };
}

async function answer(read: ReadMetrics, request: NodeRequest, response: NodeResponse): Promise<void> {
  try {
    const text = await read(() => credentialOf({ get: (name) => joinedHeader(request.rawHeaders, name) }), undefined);
    response.setHeader('content-type', METRICS_CONTENT_TYPE);
    response.setHeader('cache-control', 'no-store');
    // Pages of strangers in a browser on this machine have no business here, whatever origins may call.
    response.removeHeader('access-control-allow-origin');
    response.end(request.method === 'HEAD' ? '' : text);
  } catch (error) {
    const { reason, message } = asMeshError(error);
    const status = STATUSES[reason] ?? 500;
    sendError(response, status, status === 500 ? 'Internal error' : message);
  }
}
