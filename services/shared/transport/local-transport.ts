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
  type HandlerContext,
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
  runUnaryCall,
  transformInvokeImplementation,
} from '@connectrpc/connect/protocol';
import type { Logger } from 'pino';
import { methodName } from '../interceptors/access.ts';
import type { Authorizer } from '../interceptors/authorize.ts';
import { clientIpKey } from '../interceptors/client-ip.ts';
import { createErrorInterceptor, createErrorMapper, type ErrorMapper } from '../interceptors/errors.ts';
import { LOCAL_PROTOCOL } from '../interceptors/on-behalf-of-gate.ts';
import { PEER_PRINCIPAL, principalKey } from '../interceptors/principal.ts';
import { validateInterceptor } from '../interceptors/validate.ts';
import { createLocalRouter } from './local-router.ts';
import { localStream } from './local-stream.ts';
import { CLIENT_IP_HEADER, FORWARDED_HEADER, ON_BEHALF_OF_HEADER } from './mesh-headers.ts';
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
      return runUnaryCall<I, O>({
        req: { ...request(method, header, contextValues), method, stream: false, message },
        next: async (req) => callUnary(services.find(method), req, timeoutMs, server),
        interceptors: clientInterceptors,
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        ...(signal ? { signal } : {}),
      });
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
        req: { ...request(method, header, contextValues), method, stream: true, message },
        next: async (req) => callStream(services.find(method), req, timeoutMs, server),
        interceptors: clientInterceptors,
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        ...(signal ? { signal } : {}),
      });
    },
  };
}

type HeaderInit = ConstructorParameters<typeof Headers>[0];

const FOR_CALLERS = ['authorization', 'x-api-key', FORWARDED_HEADER, ON_BEHALF_OF_HEADER];

/** The part that stands where a listener would. */
interface LocalServer {
  readonly authorizer: Authorizer;
  readonly interceptors: Interceptor[];
  readonly mapError: ErrorMapper;
}

function request(
  method: DescMethodUnary | DescMethodStreaming,
  header: HeaderInit | undefined,
  contextValues: ContextValues | undefined,
) {
  return {
    service: method.parent,
    requestMethod: 'POST',
    url: createMethodUrl('local://mesh', method),
    header: new Headers(header),
    contextValues: contextValues ?? createContextValues(),
  };
}

async function callUnary<I extends DescMessage, O extends DescMessage>(
  spec: MethodImplSpec,
  req: UnaryRequest<I, O>,
  timeoutMs: number | undefined,
  server: LocalServer,
): Promise<UnaryResponse<I, O>> {
  if (spec.kind !== 'unary') throw new ConnectError(`${methodName(spec.method)} is a stream`, Code.Internal);
  const context = contextOf(req, timeoutMs);
  const answered = invokeUnary(spec, context, req.message, server);
  // A handler that does not look at its signal must not keep the caller waiting.
  const output = await orAborted(answered, req.signal);
  return {
    stream: false,
    service: req.service,
    method: req.method,
    message: output as MessageShape<O>,
    header: context.responseHeader,
    trailer: context.responseTrailer,
  };
}

async function invokeUnary(
  spec: MethodImplSpec & { kind: 'unary' },
  context: HandlerContext,
  input: MessageShape<DescMessage>,
  server: LocalServer,
): Promise<MessageShape<DescMessage>> {
  if (isForCaller(context.requestHeader)) {
    await server.authorizer.gate(context);
    return invokeUnaryImplementation(spec, context, input, server.interceptors);
  }
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
  const context = contextOf(req, timeoutMs);
  const forCaller = isForCaller(context.requestHeader);
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

/** Rejects as soon as the signal aborts; the call's runner turns the reason into the error. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject);
  });
}

/** A call with a caller's credential, on behalf of an anonymous one, or of one whom a process of the mesh vouches for. */
function isForCaller(header: Headers): boolean {
  return FOR_CALLERS.some((name) => header.has(name));
}

/** What the handler sees. The caller's own context values stay with the caller, so that they cannot name a principal. */
function contextOf(req: UnaryRequest | StreamRequest, timeoutMs: number | undefined): HandlerContext {
  const deadline = timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
  const values = createContextValues();
  const clientIp = req.header.get(CLIENT_IP_HEADER);
  if (clientIp) values.set(clientIpKey, clientIp);
  return {
    method: req.method,
    service: req.service,
    signal: req.signal,
    timeoutMs: () => (deadline === undefined ? undefined : deadline - Date.now()),
    requestMethod: req.requestMethod,
    requestHeader: req.header,
    responseHeader: new Headers(),
    responseTrailer: new Headers(),
    protocolName: LOCAL_PROTOCOL,
    values,
    url: req.url,
  };
}
