import { constants } from 'node:http2';
import { createContextValues } from '@connectrpc/connect';
import type { Logger } from 'pino';
import { methodName } from '../interceptors/access.ts';
import { certifiedRolesKey } from '../interceptors/certified-roles.ts';
import { clientIpKey, type createClientIp } from '../interceptors/client-ip.ts';
import { joinedHeader } from '../interceptors/credential.ts';
import { HTTPS_ONLY, type HttpsRule } from '../interceptors/https-rule.ts';
import type { Roster } from '../lifecycle/roster.ts';
import { noteRequest, RequestFacts } from '../observability/request-facts.ts';
import type { RequestLog } from '../observability/request-log.ts';
import { traceHeadersOf, traceIdOf } from '../observability/trace-headers.ts';
import type { createCors } from './cors.ts';
import {
  type Exchange,
  exchangeKey,
  type FallbackHandler,
  type NodeRequest,
  type NodeResponse,
  type RequestHandler,
  sendError,
} from './exchange.ts';
import { noteExpectation } from './expectation.ts';
import type { HostRule } from './host-rule.ts';
import { rpcProtocolOf, writeWhenOver } from './logged-request.ts';
import { nodeHeaderLookup, REQUEST_ID_HEADER, requestIdOf } from './mesh-headers.ts';
import type { RpcHandler } from './rpc-handler.ts';
import { certifiedRolesOf } from './tls-server.ts';
import { answerUnknownMethod } from './unknown-method.ts';
import type { WriteStallWatch } from './write-stall.ts';

/** What the request handler of a listener is made of. */
export interface RequestHandlerOptions {
  readonly rpc: RpcHandler;
  readonly fallback: FallbackHandler | undefined;
  readonly cors: ReturnType<typeof createCors>;
  readonly clientIp: ReturnType<typeof createClientIp>;
  /** Whether an RPC is refused because it came over HTTP; the fallback decides for itself. */
  readonly isPlainRefused: HttpsRule;
  /** What speaks against how a request addresses this server. */
  readonly hostRule: HostRule;
  readonly stalls: WriteStallWatch;
  /** The time for a request's body, in milliseconds. */
  readonly bodyTimeoutMs: number;
  /** Where running exchanges are kept; onLeave is called whenever one has left, or is work no more. */
  readonly exchanges: Roster<Exchange>;
  readonly onLeave: () => void;
  /** Whether clients of HTTP/1.1 are told to open their next request on another connection. */
  readonly isLeaving: () => boolean;
  readonly log: Logger;
  readonly requestLog: RequestLog;
}

/** Makes what answers each request of a listener, over either version of HTTP. */
export function createRequestHandler(options: RequestHandlerOptions): RequestHandler {
  const { rpc, fallback, exchanges, log, requestLog } = options;

  function track(request: NodeRequest, response: NodeResponse, facts: RequestFacts): Exchange {
    const nowMs = facts.beganAtMs;
    const exchange: Exchange = {
      request,
      response,
      facts,
      bodyDueAt: bodyDueAt(request, nowMs),
      isWork: false,
      onWorkOver: options.onLeave,
    };
    const leave = exchanges.add(exchange);
    options.stalls.track(response, nowMs);
    response.on('close', () => {
      leave();
      options.onLeave();
    });
    const finished = 'stream' in response ? response.stream : response;
    finished.on('finish', () => {
      if (request.complete) return;
      discardBody(request);
      // Whatever a client does with the rest of its body, the work is over.
      exchange.isWork = false;
      exchange.onWorkOver();
    });
    // Both are told of a broken connection by 'close'; without a listener an 'error' would end the process.
    request.on('error', ignore);
    response.on('error', ignore);
    return exchange;
  }

  function bodyDueAt(request: NodeRequest, nowMs: number): number | undefined {
    if (!('stream' in request) || request.stream.endAfterHeaders) return undefined;
    const kind = rpc.methodOf(request.url)?.methodKind;
    return kind === 'bidi_streaming' || kind === 'client_streaming' ? undefined : nowMs + options.bodyTimeoutMs;
  }

  return (request, response) => {
    const headers = nodeHeaderLookup(request.headers);
    const requestId = requestIdOf(headers);
    const facts = new RequestFacts(requestId, request.method ?? '', requestLog.tellsBodies);
    const clientIp = options.clientIp(request);
    facts.clientIp = clientIp;
    facts.traceId = traceIdOf(traceHeadersOf(headers));
    noteRequest(request, facts);
    const exchange = track(request, response, facts);
    writeWhenOver(requestLog, facts, response);
    request.headers[REQUEST_ID_HEADER] = requestId;
    response.setHeader(REQUEST_ID_HEADER, requestId);
    if (options.isLeaving() && !('stream' in response)) response.setHeader('connection', 'close');
    const problem = options.hostRule(request);
    if (problem) return sendError(response, problem.status, problem.text);
    if (!noteExpectation(request, response)) return sendError(response, 417, 'Expect: only 100-continue can be met.');
    if (!options.cors(request, response)) return;
    const method = rpc.methodOf(request.url);
    if (method) {
      facts.route = methodName(method);
      facts.protocol = rpcProtocolOf(request.headers['content-type']);
      if (options.isPlainRefused(request)) return sendError(response, 403, HTTPS_ONLY);
      const authorization = joinedHeader(request.rawHeaders, 'authorization');
      if (authorization !== undefined) request.headers.authorization = authorization;
      const values = createContextValues().set(exchangeKey, exchange).set(clientIpKey, clientIp);
      rpc.handle(exchange, values.set(certifiedRolesKey, certifiedRolesOf(request.socket)));
      return;
    }
    if (answerUnknownMethod(request, response)) return;
    if (!fallback) return sendError(response, 404, 'Not found');
    exchange.isWork = true;
    try {
      fallback(request, response);
    } catch (error) {
      log.error({ err: error, requestId, traceId: facts.traceId }, 'a request handler failed');
      if (response.headersSent) response.destroy();
      else sendError(response, 500, 'Internal error');
    }
  };
}

/** Answers with 408 where a body is overdue. Over HTTP/1.1 Node does so itself. */
export function cutLateBody(exchange: Exchange, nowMs: number): void {
  const { request, response, bodyDueAt } = exchange;
  if (bodyDueAt === undefined || nowMs < bodyDueAt || request.complete) return;
  exchange.bodyDueAt = undefined;
  if (!('stream' in response)) return;
  sendError(response, 408, 'The request body did not arrive in time.');
  response.stream.close(response.writableFinished ? constants.NGHTTP2_NO_ERROR : constants.NGHTTP2_CANCEL);
}

/**
 * A request that was answered before its body had come: what still comes is read and thrown away, so that the client can
 * read the answer and the connection serves the next request. The time for bodies bounds it.
 */
function discardBody(request: NodeRequest): void {
  // Taking a reader by 'readable' away stops a stream that flows a turn later, unless somebody listens to its data.
  request.removeAllListeners('readable').on('data', ignore).resume();
}

function ignore(): void {}
