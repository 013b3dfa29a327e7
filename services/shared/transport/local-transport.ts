import {
  create,
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import {
  Code,
  ConnectError,
  type ContextValues,
  createContextValues,
  type Interceptor,
  type MethodImplSpec,
  type StreamRequest,
  type StreamResponse,
  type Transport,
  type UnaryRequest,
  type UnaryResponse,
} from '@connectrpc/connect';
import {
  createMethodUrl,
  invokeUnaryImplementation,
  runStreamingCall,
  transformInvokeImplementation,
} from '@connectrpc/connect/protocol';
import type { Logger } from 'pino';
import { methodName } from '../interceptors/access.ts';
import type { Authorizer } from '../interceptors/authorize.ts';
import { createErrorInterceptor, createErrorMapper, type ErrorMapper } from '../interceptors/errors.ts';
import { PEER_PRINCIPAL, principalKey } from '../interceptors/principal.ts';
import { validateInterceptor } from '../interceptors/validate.ts';
import { LocalContext, LocalResponse } from './local-context.ts';
import { createLocalRouter } from './local-router.ts';
import { localStream } from './local-stream.ts';
import { type HeaderInit, LOCAL_URL, runLocalUnary } from './local-unary.ts';
import { FORWARDED_HEADER, ON_BEHALF_OF_HEADER } from './mesh-headers.ts';
import type { Routes } from './routes.ts';

/** What a local transport is made of. */
export interface LocalTransportOptions {
  /** Decides on calls that carry a caller's credential, as on the listener. */
  readonly authorizer: Authorizer;
  readonly log: Logger;
  /** Client interceptors, applied to every call. */
  readonly interceptors?: Interceptor[];
}

/**
 * Calls services of this process without encoding: the message itself is handed over and is read-only. Deadlines,
 * cancellation and errors are as over the network. A call is the process's own (PEER_PRINCIPAL) unless it carries a
 * caller's credential or is marked as forwarded; then it is authorized and validated as on the listener.
 */
export function createLocalTransport(routes: readonly Routes[], options: LocalTransportOptions): Transport {
  const services = createLocalRouter(routes);
  const clientInterceptors = options.interceptors ?? [];
  const mapError = createErrorMapper(options.log);
  const server: LocalServer = {
    authorizer: options.authorizer,
    interceptors: [createErrorInterceptor(mapError), validateInterceptor],
    mapError,
  };

  return {
    unary<I extends DescMessage, O extends DescMessage>(
      method: DescMethodUnary<I, O>,
      signal: AbortSignal | undefined,
      timeoutMs: number | undefined,
      header: HeaderInit | undefined,
      message: MessageInitShape<I>,
      contextValues?: ContextValues,
    ): Promise<UnaryResponse<I, O>> {
      const call = { method, message, header, contextValues, signal, timeoutMs, interceptors: clientInterceptors };
      return runLocalUnary(call, async (req, headers) =>
        callUnary(services.find(method), req, headers, timeoutMs, server),
      );
    },
    stream<I extends DescMessage, O extends DescMessage>(
      method: DescMethodStreaming<I, O>,
      signal: AbortSignal | undefined,
      timeoutMs: number | undefined,
      header: HeaderInit | undefined,
      message: AsyncIterable<MessageInitShape<I>>,
      contextValues?: ContextValues,
    ): Promise<StreamResponse<I, O>> {
      return runStreamingCall<I, O>({
        req: {
          stream: true,
          method,
          service: method.parent,
          requestMethod: 'POST',
          url: createMethodUrl(LOCAL_URL, method),
          header: new Headers(header),
          contextValues: contextValues ?? createContextValues(),
          message,
        },
        next: async (req) => callStream(services.find(method), req, timeoutMs, server),
        interceptors: clientInterceptors,
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        ...(signal ? { signal } : {}),
      });
    },
  };
}

const FOR_CALLERS = ['authorization', 'x-api-key', FORWARDED_HEADER, ON_BEHALF_OF_HEADER];

/** The part that stands where a listener would. */
interface LocalServer {
  readonly authorizer: Authorizer;
  readonly interceptors: Interceptor[];
  readonly mapError: ErrorMapper;
}

async function callUnary<I extends DescMessage, O extends DescMessage>(
  spec: MethodImplSpec,
  req: UnaryRequest<I, O>,
  header: Headers | undefined,
  timeoutMs: number | undefined,
  server: LocalServer,
): Promise<UnaryResponse<I, O>> {
  if (spec.kind !== 'unary') throw new ConnectError(`${methodName(spec.method)} is a stream`, Code.Internal);
  const context = new LocalContext(req, header, timeoutMs);
  const invoke = header && isForCaller(header) ? invokeForCaller : invokeAsPeer;
  const message = (await invoke(spec, context, req.message, server)) as MessageShape<O>;
  return new LocalResponse(req, message, context);
}

type UnarySpec = MethodImplSpec & { kind: 'unary' };
type AnyMessage = MessageShape<DescMessage>;

async function invokeForCaller(
  spec: UnarySpec,
  context: LocalContext,
  input: AnyMessage,
  server: LocalServer,
): Promise<AnyMessage> {
  await server.authorizer.gate(context);
  return invokeUnaryImplementation(spec, context.whole(), input, server.interceptors);
}

async function invokeAsPeer(
  spec: UnarySpec,
  context: LocalContext,
  input: AnyMessage,
  server: LocalServer,
): Promise<AnyMessage> {
  context.values.set(principalKey, PEER_PRINCIPAL);
  try {
    return create(spec.method.output, await spec.impl(input, context));
  } catch (error) {
    throw server.mapError(error, spec.method, context.requestHeader);
  }
}

async function callStream<I extends DescMessage, O extends DescMessage>(
  spec: MethodImplSpec,
  req: StreamRequest<I, O>,
  timeoutMs: number | undefined,
  server: LocalServer,
): Promise<StreamResponse<I, O>> {
  const context = new LocalContext(req, req.header, timeoutMs).whole();
  const forCaller = isForCaller(req.header);
  if (forCaller) await server.authorizer.gate(context);
  else context.values.set(principalKey, PEER_PRINCIPAL);
  // Also without a caller the error interceptor is needed, so that a stream's failure is one of ours.
  const interceptors = forCaller ? server.interceptors : server.interceptors.slice(0, 1);
  const output = transformInvokeImplementation(spec, context, interceptors)(req.message);
  return {
    stream: true,
    service: req.service,
    method: req.method,
    message: localStream(output as AsyncIterable<MessageShape<O>>, req.signal),
    header: context.responseHeader,
    trailer: context.responseTrailer,
  };
}

/** A call with a caller's credential, on behalf of an anonymous one, or of one whom a process of the mesh vouches for. */
function isForCaller(header: Headers): boolean {
  return FOR_CALLERS.some((name) => header.has(name));
}
