import http from 'node:http';
import type { Logger } from 'pino';
import type { RequestHandler } from './exchange.ts';
import { HTTP1_LIMITS, MAX_HEADERS } from './limits.ts';
import { createRequestGuard } from './request-guard.ts';

/**
 * Makes a server of HTTP/1.1 that never listens by itself.
 *
 * @param requestTimeout from the first byte of a request to its last, in milliseconds; then 408
 */
export function createHttp1Server(handler: RequestHandler, requestTimeout: number, log: Logger): http.Server {
  const headersTimeout = Math.min(HTTP1_LIMITS.headersTimeout, requestTimeout);
  // The guard looks at Host itself: what Node answers has no request id.
  const server = http.createServer({ ...HTTP1_LIMITS, headersTimeout, requestTimeout, requireHostHeader: false });
  server.maxHeadersCount = MAX_HEADERS;
  const { admit, refuse, refuseTunnel } = createRequestGuard(log);
  const take = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    if (admit(request, response)) handler(request, response);
  };
  server.on('request', take).on('checkContinue', take).on('checkExpectation', take);
  server.on('clientError', refuse).on('connect', refuseTunnel);
  // Node starts the checks of its two timeouts when a server listens; this one never does by itself.
  server.emit('listening');
  return server;
}
