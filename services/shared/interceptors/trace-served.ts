import { createContextKey, type HandlerContext, type Interceptor } from '@connectrpc/connect';
import { NAMES } from '../observability/telemetry-names.ts';
import { type TraceHeaders, traceHeadersOf } from '../observability/trace-headers.ts';
import { type Attributes, type Span, tracer } from '../observability/tracer.ts';
import { exchangeKey } from '../transport/exchange.ts';
import { REQUEST_ID_HEADER } from '../transport/mesh-headers.ts';
import { isTrunk } from '../transport/trunk/trunk-method.ts';
import { methodName } from './access.ts';
import { isOpenService } from './authorize.ts';
import { clientIpKey } from './client-ip.ts';
import { endRpcSpan, inSpan, type RpcSystem, rpcAttributes } from './rpc-span.ts';

/** Where the gate leaves the span of a call. Unset: it has none. */
const spanKey = createContextKey<Span | undefined>(undefined, { description: 'the span of an RPC' });

type Gate = (context: HandlerContext) => Promise<void>;

/** The trace that an RPC belongs to, for what its handler asks of others. Undefined: none. */
export function traceOf(context: HandlerContext): TraceHeaders | undefined {
  const to = tracer();
  // A call from this process has its span around it and not in its headers.
  const own = context.values.get(spanKey)?.headers ?? to.activeHeaders;
  return own ?? traceHeadersOf(context.requestHeader, to.headerNames);
}

/** A gate and the interceptors that stand behind it. */
export interface Served {
  readonly gate: Gate;
  readonly interceptors: readonly Interceptor[];
}

/**
 * A listener's gate and an interceptor with which each call has a span, from its gate on: who may call is found out in it too. Calls
 * of peers that are parts of no trace have none, nor have trunks, whose generations have their own. While no traces are recorded it
 * is the gate alone.
 *
 * @param isFromPeer whether a process of the mesh calls
 */
export function serveTraced(gate: Gate, isFromPeer: (context: HandlerContext) => boolean): Served {
  if (!tracer().isOn) return { gate, interceptors: [] };
  return {
    interceptors: [inSpanOfCall],
    async gate(context) {
      const span = beginSpan(context, isFromPeer);
      if (!span) return await gate(context);
      try {
        await span.within(() => gate(context));
      } catch (error) {
        endRpcSpan(span, { kind: 'server', system: systemOf(context.requestHeader) }, error);
        throw error;
      }
    },
  };
}

function beginSpan(context: HandlerContext, isFromPeer: (context: HandlerContext) => boolean): Span | undefined {
  const { service, method, requestHeader, values } = context;
  if (isOpenService(service.typeName) || isTrunk(method)) return undefined;
  const parent = traceHeadersOf(requestHeader, tracer().headerNames);
  const isOfPeer = isFromPeer(context);
  if (!parent && isOfPeer) return undefined;
  const span = tracer().begin(methodName(method), {
    kind: 'server',
    parent,
    attributes: {
      ...rpcAttributes(method, systemOf(requestHeader)),
      // Of what peers ask the span where it came from says it.
      ...(isOfPeer ? {} : callerAttributes(context)),
    },
  });
  values.set(spanKey, span);
  const facts = values.get(exchangeKey)?.facts;
  if (facts) facts.traceId = span.traceId ?? facts.traceId;
  // Whatever becomes of it: a body that cannot be read ends a call before any interceptor.
  values.get(exchangeKey)?.response.once('close', () => span.end());
  return span;
}

function callerAttributes({ requestHeader, values }: HandlerContext): Attributes {
  return {
    [NAMES.requestId]: requestHeader.get(REQUEST_ID_HEADER) ?? undefined,
    [NAMES.clientAddress]: values.get(clientIpKey),
  };
}

/** Runs handlers in the span of their call, and ends it. */
const inSpanOfCall: Interceptor = (next) => async (req) => {
  const span = req.contextValues.get(spanKey);
  if (!span) return await next(req);
  const over = (error?: unknown): void => endRpcSpan(span, { kind: 'server', system: systemOf(req.header) }, error);
  try {
    const response = await span.within(() => next(req));
    if (response.stream) return { ...response, message: inSpan(response.message, span, over) };
    over();
    return response;
  } catch (error) {
    over(error);
    throw error;
  }
};

function systemOf(header: Headers): RpcSystem {
  return header.get('content-type')?.startsWith('application/grpc') ? 'grpc' : 'connectrpc';
}
