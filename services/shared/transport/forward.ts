import type { DescMethod, DescMethodServerStreaming, DescMethodUnary } from '@bufbuild/protobuf';
import type { ConnectRouter, HandlerContext, Transport } from '@connectrpc/connect';
import { createAsyncIterable } from '@connectrpc/connect/protocol';
import { notImplemented } from '../errors/mesh-error.ts';
import { methodName } from '../interceptors/access.ts';
import { clientIpKey } from '../interceptors/client-ip.ts';
import { vouchedKey } from '../interceptors/on-behalf-of.ts';
import { PEER_PRINCIPAL, principalKey } from '../interceptors/principal.ts';
import { CLIENT_IP_HEADER, FORWARDED_HEADER, ON_BEHALF_OF_HEADER, REQUEST_ID_HEADER } from './mesh-headers.ts';

/** What of a call goes on with it; whatever else a caller says of itself stays here. */
const PASSED_HEADERS = [
  'authorization',
  'x-api-key',
  REQUEST_ID_HEADER,
  'traceparent',
  'tracestate',
  'idempotency-key',
];

/** Where a call goes on to. */
export type Destination = (context: HandlerContext) => Transport;

/**
 * Registers methods that live elsewhere: each call goes to the peer with its caller's credential, address and request id, is
 * authorized again there, and comes back unchanged, errors included. Unary and server-streaming methods.
 *
 * @throws Error for a method that streams requests
 */
export function forwardMethods(router: ConnectRouter, methods: readonly DescMethod[], destination: Destination): void {
  for (const method of methods) {
    if (method.methodKind === 'unary') forwardUnary(router, method as DescMethodUnary, destination);
    else if (method.methodKind === 'server_streaming') {
      forwardStream(router, method as DescMethodServerStreaming, destination);
    } else throw new Error(`${methodName(method)} streams requests and cannot be forwarded`);
  }
}

/**
 * Registers methods that live elsewhere and are not for callers, so that the gate refuses them by name instead of the port
 * denying that they exist. A process of the mesh that calls one here is told to call the peer itself.
 */
export function refuseMethods(router: ConnectRouter, methods: readonly DescMethod[]): void {
  for (const method of methods) {
    // The same for every kind of method: it throws before it would answer.
    router.rpc(method as DescMethodUnary, () => {
      throw notImplemented(`${methodName(method)} on this port`);
    });
  }
}

function forwardUnary(router: ConnectRouter, method: DescMethodUnary, destination: Destination): void {
  router.rpc(method, async (request, context) => {
    const { signal } = context;
    const headers = forwardedHeaders(context);
    return (await destination(context).unary(method, signal, context.timeoutMs(), headers, request)).message;
  });
}

function forwardStream(router: ConnectRouter, method: DescMethodServerStreaming, destination: Destination): void {
  router.rpc(method, async function* (request, context) {
    // The context's signal aborts at the end of the call whatever ended it, and with it the call to the peer.
    const { signal } = context;
    const input = createAsyncIterable([request]);
    const headers = forwardedHeaders(context);
    const response = await destination(context).stream(method, signal, context.timeoutMs(), headers, input);
    yield* response.message;
  });
}

/** The headers of a call that goes on to a peer on behalf of its caller. */
export function forwardedHeaders(context: HandlerContext): Headers {
  const headers = new Headers();
  for (const name of PASSED_HEADERS) {
    const value = context.requestHeader.get(name);
    if (value !== null) headers.set(name, value);
  }
  // The gate has found it to be signed for this very method.
  const vouched = context.values.get(vouchedKey) && context.requestHeader.get(ON_BEHALF_OF_HEADER);
  if (vouched) headers.set(ON_BEHALF_OF_HEADER, vouched);
  const clientIp = context.values.get(clientIpKey);
  if (clientIp) headers.set(CLIENT_IP_HEADER, clientIp);
  // Without it the peer would take an anonymous caller for this process.
  if (context.values.get(principalKey) !== PEER_PRINCIPAL) headers.set(FORWARDED_HEADER, '1');
  return headers;
}
