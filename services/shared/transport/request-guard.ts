import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { errorBody } from './exchange.ts';
import { newRequestId, REQUEST_ID_HEADER } from './mesh-headers.ts';

/** How long a refused client has to read why before its connection is cut, in milliseconds. */
const LINGER_MS = 1_000;

/** Codes of Node's HTTP parser and its timers → status and text. All others that begin with HPE_ are 400. */
const REFUSALS: Readonly<Record<string, readonly [status: number, text: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'The headers of the request are larger than 16 KiB.'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'The chunk extensions of the request are too large.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request did not arrive in time.'],
};

const MALFORMED = [400, 'The request is not valid HTTP/1.1.'] as const;

/** Answers what Node refuses by itself, before our handler or behind it. */
export interface MalformedAnswers {
  /** To be told of every request. */
  note(request: IncomingMessage, response: ServerResponse): void;
  /** What Node's parser or its timers have against what comes on a connection. */
  refuse(error: Error & { code?: string }, socket: Duplex): void;
}

/**
 * Makes what answers as everything else is answered, with a request id, and closes the connection: where the next request
 * begins nobody can tell.
 */
export function createMalformedAnswers(log: Logger): MalformedAnswers {
  const latest = new WeakMap<Duplex, ServerResponse>();
  const refused = new WeakSet<Duplex>();
  return {
    note(request, response) {
      latest.set(request.socket, response);
    },
    refuse(error, socket) {
      if (refused.has(socket)) return;
      refused.add(socket);
      const refusal = REFUSALS[error.code ?? ''] ?? (error.code?.startsWith('HPE_') ? MALFORMED : undefined);
      const running = unfinished(latest.get(socket));
      // It broke, or another answer has begun or is due first.
      if (!socket.writable || !refusal || (running && !isAbout(running, socket))) return void socket.destroy();
      const [status, text] = refusal;
      const requestId = String(running?.getHeader(REQUEST_ID_HEADER) ?? newRequestId());
      log.debug({ err: error, requestId, status }, 'request refused');
      socket.end(answer(status, text, requestId));
      const timer = setTimeout(() => socket.destroy(), LINGER_MS);
      socket.on('close', () => clearTimeout(timer));
    },
  };
}

function unfinished(response: ServerResponse | undefined): ServerResponse | undefined {
  return response?.writableEnded ? undefined : response;
}

/** Whether what is wrong is the rest of the request that this unsent response is to. */
function isAbout(response: ServerResponse, socket: Duplex): boolean {
  return response.socket === socket && !response.headersSent && !response.req.complete;
}

function answer(status: number, text: string, requestId: string): string {
  const body = errorBody(status, text);
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
