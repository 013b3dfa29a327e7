import { createRegistry, type DescMethod, type DescService, type Registry } from '@bufbuild/protobuf';
import {
  Code,
  ConnectError,
  type ContextValues,
  createConnectRouter,
  type HandlerContext,
  type Interceptor,
} from '@connectrpc/connect';
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import type { Logger } from 'pino';
import { ErrorInfoSchema, QuotaFailureSchema, RetryInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { LimitReportSchema } from '../../../gen/mesh/quota/v1/limit_pb.ts';
import { methodName } from '../interceptors/access.ts';
import { type Exchange, type NodeRequest, sendError } from './exchange.ts';
import { letBodyCome } from './expectation.ts';
import { SERVER_LIMITS } from './limits.ts';
import type { Routes } from './routes.ts';
import { isTrunk } from './trunk/trunk-method.ts';

/** With it JSON clients read the details of errors as JSON, next to their bytes. */
const DETAILS = createRegistry(ErrorInfoSchema, RetryInfoSchema, QuotaFailureSchema, LimitReportSchema);

/** What an RPC handler is made of. */
export interface RpcHandlerOptions {
  readonly routes: readonly Routes[];
  /** Runs before the body of a call is read; throws ConnectError. */
  readonly gate: (context: HandlerContext) => Promise<void>;
  readonly interceptors: Interceptor[];
  /** The largest message of a client, in bytes, after decompression. Unset: READ_MAX_BYTES. */
  readonly readMaxBytes: number | undefined;
  /** What JSON may carry in a google.protobuf.Any, besides the details of errors. */
  readonly anyTypes: Registry;
  readonly shutdownSignal: AbortSignal;
  readonly log: Logger;
}

/** The RPC side of a listener: gRPC, gRPC-Web and Connect. */
export interface RpcHandler {
  readonly methods: readonly DescMethod[];
  readonly services: readonly DescService[];
  /** The method that a path names. */
  methodOf(url: string | undefined): DescMethod | undefined;
  /** Answers a request whose path names a method. */
  handle(exchange: Exchange, values: ContextValues): void;
}

/**
 * Makes an RPC handler. It does what connectNodeAdapter does, but a malformed `Host`, which makes the adapter throw into the
 * process, is answered with 400, and failures go to the log instead of the console.
 */
export function createRpcHandler(options: RpcHandlerOptions): RpcHandler {
  const router = createConnectRouter({
    ...SERVER_LIMITS,
    ...(options.readMaxBytes !== undefined && { readMaxBytes: options.readMaxBytes }),
    // A field that nobody reads would be a wish that nobody grants: a mistyped restriction must not be ignored.
    jsonOptions: { registry: createRegistry(DETAILS, options.anyTypes), ignoreUnknownFields: false },
    acceptCompression: [compressionGzip, compressionBrotli],
    interceptors: options.interceptors,
    requestGate: options.gate,
    shutdownSignal: options.shutdownSignal,
  });
  for (const register of options.routes) register(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  const find = (url: string | undefined) => handlers.get(url?.split('?', 1)[0] ?? '');

  return {
    methods: router.handlers.map((handler) => handler.method),
    services: [...new Set(router.handlers.map((handler) => handler.service))],
    methodOf: (url) => find(url)?.method,
    handle(exchange, values) {
      const { request, response } = exchange;
      const handler = find(request.url);
      if (!handler) return sendError(response, 404, 'Not found');
      let call: Parameters<typeof handler>[0];
      try {
        const body = bodyOf(request);
        const universal = universalRequestFromNodeRequest(request, response, undefined, values);
        // Between our own processes the network is fast and the processor is not; grpc-js offers compression unasked.
        if (isTrunk(handler.method)) universal.header.delete('grpc-accept-encoding');
        call = { ...universal, body, signal: abortable(exchange, universal.signal) };
      } catch {
        // The only thing in it that can fail is the URL, made of the Host header.
        return sendError(response, 400, 'The Host header is missing or malformed.');
      }
      handler(call)
        .then((answer) => universalResponseToNodeResponse(answer, response))
        .catch((error: unknown) => {
          response.destroy();
          if (isOfConnection(error)) return;
          options.log.error({ err: error, method: methodName(handler.method) }, 'could not answer an RPC');
        });
    },
  };
}

/** The body by itself: when a call is refused half-way, the rest of it is discarded instead of cut off. */
function bodyOf(request: NodeRequest): AsyncIterable<Uint8Array> {
  return request.headers.expect === undefined ? request.iterator({ destroyOnReturn: false }) : expectedBody(request);
}

/** It is read only when its caller may call, and asked for no sooner. */
async function* expectedBody(request: NodeRequest): AsyncIterable<Uint8Array> {
  letBodyCome(request);
  yield* request.iterator({ destroyOnReturn: false });
}

/** A signal that aborts with `left`, which says that the client has gone, and by the exchange's `abort`. */
function abortable(exchange: Exchange, left: AbortSignal): AbortSignal {
  const aborter = new AbortController();
  left.addEventListener('abort', () => aborter.abort(left.reason), { once: true });
  const abort = (reason: ConnectError): void => aborter.abort(reason);
  exchange.abort = abort;
  return aborter.signal;
}

/** The client went away or its connection broke; the handler's signal has told whoever needs to know. */
function isOfConnection(error: unknown): boolean {
  const { code } = ConnectError.from(error);
  return code === Code.Aborted || code === Code.Canceled;
}
