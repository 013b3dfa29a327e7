import { create } from '@bufbuild/protobuf';
import { createClient, createContextValues, createHandlerContext, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { afterAll, expect, test } from 'vitest';
import { PrincipalSchema } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { clientIpKey } from '../interceptors/client-ip.ts';
import { vouchedKey } from '../interceptors/on-behalf-of.ts';
import { PEER_PRINCIPAL, principalKey } from '../interceptors/principal.ts';
import { forwardedHeaders, forwardMethods } from './forward.ts';
import { BEARER, startTestListener } from './listener.fixture.ts';

/** What a caller may write about itself, for us and for others. */
const HOSTILE = {
  'mesh-token': 'a guess',
  'mesh-client-ip': '203.0.113.1',
  'mesh-forwarded': '0',
  'mesh-to-node': '1',
  'mesh-on-behalf-of-bin': 'AAAA',
  'mesh-anything': 'x',
  'x-forwarded-for': '127.0.0.1',
  'x-real-ip': '127.0.0.1',
  forwarded: 'for=127.0.0.1',
  'x-forwarded-user': 'admin',
  'x-user-id': 'admin',
  'x-organization': 'acme',
  'x-consumer-username': 'admin',
  cookie: 'session=admin',
  'proxy-authorization': 'Basic YTpi',
};

const CALLER = {
  authorization: 'Bearer key',
  'x-api-key': 'key',
  'x-request-id': 'r',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  tracestate: 'a=b',
  'idempotency-key': 'once',
};

function forwarded(values = createContextValues(), headers: Record<string, string> = { ...HOSTILE, ...CALLER }) {
  const context = createHandlerContext({
    ...{ service: RouterService, method: RouterService.method.generate, protocolName: 'grpc', requestMethod: 'POST' },
    ...{ url: 'http://127.0.0.1/', requestHeader: new Headers(headers), contextValues: values },
  });
  return Object.fromEntries(forwardedHeaders(context));
}

test('what goes on is the credential, the request id and the trace, as whose call it is, and nothing else', () => {
  expect(forwarded()).toEqual({ ...CALLER, 'mesh-forwarded': '1' });
  const values = createContextValues().set(clientIpKey, '198.51.100.7');
  expect(forwarded(values)).toEqual({ ...CALLER, 'mesh-forwarded': '1', 'mesh-client-ip': '198.51.100.7' });
});

test('a call of a peer for itself goes on as one, without its proof', () => {
  expect(forwarded(createContextValues().set(principalKey, PEER_PRINCIPAL), HOSTILE)).toEqual({});
});

test('whom a peer vouches for goes on only when the gate has checked it', () => {
  const vouched = { principal: create(PrincipalSchema), requestAlreadyCounted: false, clientIp: undefined };
  expect(forwarded(createContextValues().set(vouchedKey, vouched), HOSTILE)).toEqual({
    'mesh-forwarded': '1',
    'mesh-on-behalf-of-bin': 'AAAA',
  });
});

const inner = await startTestListener();
const onward = createGrpcTransport({ baseUrl: inner.listener.url });
const { generate, tokenize } = RouterService.method;
const outer = await startTestListener({
  routes: [(router) => forwardMethods(router, [generate, tokenize], () => onward)],
});
afterAll(() => Promise.all([outer.listener.close(), inner.listener.close()]));

const base = { baseUrl: outer.listener.url };
const TRANSPORTS: Record<string, Transport> = {
  'Connect over HTTP/1.1': createConnectTransport({ ...base, httpVersion: '1.1' }),
  'Connect with JSON': createConnectTransport({ ...base, httpVersion: '2', useBinaryFormat: false }),
  'gRPC-Web': createGrpcWebTransport({ ...base, httpVersion: '1.1' }),
  gRPC: createGrpcTransport(base),
};

/** What our own client writes for the protocol. */
const OF_PROTOCOL = [
  ...['content-type', 'content-length', 'te', 'user-agent', 'grpc-accept-encoding', 'grpc-encoding', 'grpc-timeout'],
  ...['accept', 'accept-encoding', 'host', 'date', ':authority', ':method', ':path', ':scheme'],
];

test.each(Object.entries(TRANSPORTS))(
  'the process behind hears nothing else either, over %s',
  async (_name, transport) => {
    const client = createClient(RouterService, transport);
    // With this one the call is refused before it goes anywhere.
    const { 'mesh-on-behalf-of-bin': _refused, ...claims } = HOSTILE;
    const headers = { ...claims, ...CALLER, 'x-api-key': 'good-key', ...BEARER };
    const prompt = { prompt: { input: { case: 'text' as const, value: 'two' } } };
    inner.seen.contexts.length = 0;
    await client.tokenize(prompt, { headers });
    for await (const _ of client.generate(prompt, { headers }));
    expect(inner.seen.contexts).toHaveLength(2);
    for (const { requestHeader } of inner.seen.contexts) {
      const names = [...requestHeader.keys()].filter((name) => !OF_PROTOCOL.includes(name));
      expect(names.sort()).toEqual([...Object.keys(CALLER), 'mesh-client-ip', 'mesh-forwarded'].sort());
      // The address of the connection, not the one that was claimed.
      expect(requestHeader.get('mesh-client-ip')).toBe('127.0.0.1');
      expect(requestHeader.get('mesh-forwarded')).toBe('1');
    }
  },
);
