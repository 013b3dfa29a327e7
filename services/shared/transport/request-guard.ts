import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { errorBody } from './error-shape.ts';
import { newRequestId, nodeHeaderLookup, REQUEST_ID_HEADER, requestIdOf } from './mesh-headers.ts';
import { type RequestProblem, shapeProblem } from './request-shape.ts';

/** How long a refused client has to read why before its connection is cut, in milliseconds. */
const LINGER_MS = 1_000;

/** Codes of Node's HTTP parser and its timers. All others that begin with HPE_ are 400. */
const REFUSALS: Readonly<Record<string, RequestProblem>> = {
  HPE_HEADER_OVERFLOW: { status: 431, text: 'The request has more than 16 KiB or 64 lines of headers.' },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { status: 413, text: 'The chunk extensions of the request are too large.' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, text: 'The request did not arrive in time.' },
};

const MALFORMED: RequestProblem = { status: 400, text: 'The request is not valid HTTP/1.1.' };
const TUNNEL: RequestProblem = { status: 400, text: 'CONNECT: this server is no proxy.' };

/** Refuses what is no clear request of HTTP/1. */
export interface RequestGuard {
  /** Whether a request is clear; one that is not, and all behind it, need no further answer. */
  admit(request: IncomingMessage, response: ServerResponse): boolean;
  /** What Node's parser or its timers have against what comes on a connection. */
  refuse(error: Error & { code?: string }, socket: Duplex): void;
  /** A request for a tunnel to somewhere else (CONNECT). */
  refuseTunnel(request: IncomingMessage, socket: Duplex): void;
}

/**
 * Makes what answers as everything else is answered, with a request id, and closes the connection: where the next request
 * begins nobody can tell.
 */
export function createRequestGuard(log: Logger): RequestGuard {
  const latest = new WeakMap<Duplex, ServerResponse>();
  const refused = new WeakSet<Duplex>();

  function end(socket: Duplex, problem: RequestProblem, requestId: string, path = ''): void {
    refused.add(socket);
    log.debug({ requestId, status: problem.status, detail: problem.text }, 'request refused');
    socket.end(answerTo(problem, requestId, path));
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.on('close', () => clearTimeout(timer));
  }

  return {
    admit(request, response) {
      const { socket } = request;
      if (refused.has(socket)) return false;
      const problem = shapeProblem(request);
      if (!problem) {
        latest.set(socket, response);
        return true;
      }
      // Another answer is due first.
      if (isRunning(latest.get(socket))) socket.destroy();
      else end(socket, problem, idOf(request), request.url);
      return false;
    },
    refuse(error, socket) {
      if (refused.has(socket)) return;
      const problem = REFUSALS[error.code ?? ''] ?? (error.code?.startsWith('HPE_') ? MALFORMED : undefined);
      const response = latest.get(socket);
      if (!socket.writable || !problem || !isExpected(response, socket)) return void socket.destroy();
      if (!isRunning(response)) return end(socket, problem, newRequestId());
      end(socket, problem, String(response.getHeader(REQUEST_ID_HEADER)), response.req.url);
    },
    refuseTunnel(request, socket) {
      // Node no longer listens to what goes wrong with it.
      socket.on('error', () => socket.destroy());
      end(socket, TUNNEL, idOf(request));
    },
  };
}

function isRunning(response: ServerResponse | undefined): response is ServerResponse {
  return response !== undefined && !response.writableEnded;
}

/**
 * Whether the client would take what is sent now for the answer to what is wrong: not where its request has one already, and
 * not where another answer has begun or is due first.
 */
function isExpected(response: ServerResponse | undefined, socket: Duplex): boolean {
  if (response === undefined) return true;
  if (response.writableEnded) return response.req.complete;
  return response.socket === socket && !response.headersSent && !response.req.complete;
}

function idOf({ headers }: IncomingMessage): string {
  return requestIdOf(nodeHeaderLookup(headers));
}

function answerTo({ status, text }: RequestProblem, requestId: string, path: string): string {
  const body = errorBody(status, text, path);
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `Date: ${new Date().toUTCString()}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `${REQUEST_ID_HEADER}: ${requestId}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}
