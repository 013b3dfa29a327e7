import http from 'node:http';
import http2, { type Http2Server, type ServerHttp2Session } from 'node:http2';
import type { Logger } from 'pino';
import type { NodeRequest, NodeResponse } from './exchange.ts';
import { HTTP1_LIMITS, HTTP2_LIMITS, MAX_HEADERS } from './limits.ts';

/** Answers requests of both protocols. */
export type RequestHandler = (request: NodeRequest, response: NodeResponse) => void;

/** An HTTP/1.1 server that is handed its connections. */
export function createHttp1Server(handler: RequestHandler): http.Server {
  const server = http.createServer(HTTP1_LIMITS, handler);
  server.maxHeadersCount = MAX_HEADERS;
  // Node starts the checks of its two timeouts when a server listens; this one never does by itself.
  server.emit('listening');
  return server;
}

/** An HTTP/2 server that is handed its connections, with its live sessions, which its close() leaves alone. */
export interface Http2Part {
  readonly server: Http2Server;
  readonly sessions: ReadonlySet<ServerHttp2Session>;
}

/**
 * Makes an HTTP/2 server whose sessions and streams may fail without harm.
 *
 * @param onLeave is called after a session has ended
 */
export function createHttp2Server(handler: RequestHandler, log: Logger, onLeave: () => void): Http2Part {
  const server = http2.createServer({ ...HTTP2_LIMITS, maxHeaderListPairs: MAX_HEADERS }, handler);
  const sessions = new Set<ServerHttp2Session>();
  const onError = (error: Error) => log.debug({ err: error }, 'an HTTP/2 connection failed');
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', onError);
    session.on('close', () => {
      sessions.delete(session);
      onLeave();
    });
  });
  server.on('stream', (stream) => stream.on('error', onError));
  server.on('sessionError', onError);
  return { server, sessions };
}
