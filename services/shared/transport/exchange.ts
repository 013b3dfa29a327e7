import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { type ConnectError, createContextKey } from '@connectrpc/connect';
import type { Principal } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import type { RequestFacts } from '../observability/request-facts.ts';
import { errorBody } from './error-shape.ts';

/** A request over HTTP/1.1 or HTTP/2. */
export type NodeRequest = IncomingMessage | Http2ServerRequest;

/** The response to it. */
export type NodeResponse = ServerResponse<IncomingMessage> | Http2ServerResponse;

/** Answers requests of both protocols. */
export type RequestHandler = (request: NodeRequest, response: NodeResponse) => void;

/** Answers everything that is no RPC. The request id stands in the request's and the response's headers. */
export type FallbackHandler = RequestHandler;

/** One request and its response on a listener, from its headers to the end of its response. */
export interface Exchange {
  readonly request: NodeRequest;
  readonly response: NodeResponse;
  /** What is noted of it for the request log. */
  readonly facts: RequestFacts;
  /** When the body must be here, in milliseconds of the monotonic clock; undefined where it may take its time. */
  bodyDueAt: number | undefined;
  /** Whether it is a caller's work, which a drain waits for; a trunk is while something runs on it. */
  isWork: boolean;
  /** Whether it is a stream that a process of the mesh follows, and can follow elsewhere. */
  isPeerWatch?: boolean;
  /** To be called when it is work no more and goes on. */
  readonly onWorkOver: () => void;
  /** Called when the listener begins to drain, for what takes new work by itself. Unset: it takes none. */
  onDrain?: () => void;
  /** Whose stream it is, once that is known. Unset: it is none, or its handler finds out by itself. */
  streamOf?: Principal;
  /** Ends the call. Unset: it is no RPC. */
  abort?: (reason: ConnectError) => void;
}

/** The exchange of an RPC; unset in process. */
export const exchangeKey = createContextKey<Exchange | undefined>(undefined, { description: 'the HTTP exchange' });

/** Sends a short JSON error. */
export function sendError(response: NodeResponse, status: number, text: string): void {
  if (response.headersSent) return;
  response.statusCode = status;
  response.setHeader('content-type', 'application/json');
  response.end(errorBody(status, text, response.req.url ?? ''));
}
