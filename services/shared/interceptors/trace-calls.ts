import type { DescMethod } from '@bufbuild/protobuf';
import type { Interceptor } from '@connectrpc/connect';
import { QuotaService } from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { NAMES } from '../observability/telemetry-names.ts';
import { type Attributes, type SpanKind, tracer } from '../observability/tracer.ts';
import { endRpcSpan, inSpan, type RpcSystem, rpcAttributes } from './rpc-span.ts';

/** What one call tells of many requests belongs to none of them. */
const OF_MANY: ReadonlySet<unknown> = new Set([QuotaService.method.extend]);

/**
 * The interceptors by which calls of a peer are parts of the trace that is active; without one they are parts of none. None while
 * no traces are recorded.
 *
 * @param url where the peer is; undefined: in this process
 */
export function traceCalls(url: string | undefined): Interceptor[] {
  if (!tracer().isOn) return [];
  const kind: SpanKind = url === undefined ? 'internal' : 'client';
  const system: RpcSystem = url === undefined ? 'connectrpc' : 'grpc';
  const peer = peerAttributes(url);
  // One for each method of a contract.
  const known = new Map<DescMethod, Attributes>();
  const attributesOf = (method: DescMethod): Attributes => {
    let attributes = known.get(method);
    if (!attributes) {
      attributes = { ...rpcAttributes(method, system), ...peer };
      known.set(method, attributes);
    }
    return attributes;
  };
  return [
    (next) => async (req) => {
      const to = tracer();
      if (!to.hasActive || OF_MANY.has(req.method)) return await next(req);
      const attributes = attributesOf(req.method);
      const span = to.begin(String(attributes[NAMES.rpcMethod]), { kind, parent: 'active', attributes });
      // Of what runs here the active span is the parent already, and headers would have to be made and read.
      if (url !== undefined) {
        for (const [header, value] of Object.entries(span.headers ?? {})) req.header.set(header, value);
      }
      const over = (error?: unknown): void => endRpcSpan(span, { kind, system }, error);
      try {
        const response = await span.within(() => next(req));
        if (!response.stream) {
          over();
          return response;
        }
        // Whoever stops reading aborts the call and hears nothing more of it.
        req.signal.addEventListener('abort', () => over(), { once: true });
        return { ...response, message: inSpan(response.message, span, over) };
      } catch (error) {
        over(error);
        throw error;
      }
    },
  ];
}

/** Where a peer is, for spans of calls. */
export function peerAttributes(url: string | undefined): Attributes {
  if (url === undefined) return {};
  const { hostname, port, protocol } = new URL(url);
  const implied = protocol === 'https:' ? 443 : 80;
  return { [NAMES.serverAddress]: hostname, [NAMES.serverPort]: port === '' ? implied : Number(port) };
}
