import { create } from '@bufbuild/protobuf';
import { createContextValues, createHandlerContext } from '@connectrpc/connect';
import { expect, test } from 'vitest';
import { PrincipalSchema } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { clientIpKey } from '../interceptors/client-ip.ts';
import { vouchedKey } from '../interceptors/on-behalf-of.ts';
import { PEER_PRINCIPAL, principalKey } from '../interceptors/principal.ts';
import { forwardedHeaders } from './forward.ts';

/** What a caller may write about itself, for us and for others. */
const HOSTILE = {
  'mesh-token': 'a guess',
  'mesh-client-ip': '127.0.0.1',
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
