import { fromBinary } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, describe, expect, test } from 'vitest';
import { ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../../gen/google/rpc/status_pb.ts';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import type { RequestFacts } from '../observability/request-facts.ts';
import { HTTP2_CLIENT_LIMITS } from '../transport/limits.ts';
import { BEARER, eventually, startTestListener } from '../transport/listener.fixture.ts';

const logged: Pick<RequestFacts, 'requestId' | 'reason'>[] = [];
const { listener } = await startTestListener({
  requestLog: {
    tellsBodies: false,
    write: ({ requestId, reason }) => logged.push({ requestId, reason }),
  },
});
afterAll(() => listener.close());

const base = { baseUrl: listener.url };
const TRANSPORTS: Record<string, Transport> = {
  Connect: createConnectTransport({ ...base, httpVersion: '1.1' }),
  'Connect with JSON': createConnectTransport({ ...base, httpVersion: '1.1', useBinaryFormat: false }),
  'gRPC-Web': createGrpcWebTransport({ ...base, httpVersion: '1.1' }),
  gRPC: createGrpcTransport({ ...base, nodeOptions: HTTP2_CLIENT_LIMITS }),
};
const asked = (text: string) => ({ prompt: { input: { case: 'text' as const, value: text } } });
const LARGE = asked('x'.repeat(17 * 1024 * 1024));
const LATE = { timeoutMs: 11 * 60 * 1000 };

/** The code of a call that fails, and what its ErrorInfo says. */
async function refusal(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (caught: unknown) => ConnectError.from(caught),
  );
  const { reason, domain, metadata } = error?.findDetails(ErrorInfoSchema)[0] ?? {};
  return { code: error?.code, reason, domain, metadata };
}

describe.each(Object.entries(TRANSPORTS))('%s: what the protocol refuses has a reason', (_name, transport) => {
  const client = createClient(RouterService, transport);
  const unary = (request: object, options: object) => client.tokenize(request, { headers: BEARER, ...options });
  const stream = (request: object, options: object) =>
    Array.fromAsync(client.generate(request, { headers: BEARER, ...options }));

  test.each([
    ['a unary call', unary],
    ['a stream', stream],
  ])('%s', async (_kind, call) => {
    const ours = { domain: 'inference-mesh' };
    expect(await refusal(call(asked('x'), LATE))).toMatchObject({
      ...{ ...ours, code: Code.InvalidArgument, reason: 'INVALID_FIELD' },
    });
    expect(await refusal(call(LARGE, {}))).toEqual({
      ...{ ...ours, code: Code.ResourceExhausted, reason: 'MESSAGE_TOO_LARGE', metadata: { limit_bytes: '16777216' } },
    });
  });
});

test('what is refused so is logged with its reason', async () => {
  const headers = {
    ...BEARER,
    'content-type': 'application/json',
    'x-request-id': 'late',
    'connect-timeout-ms': '700000',
  };
  const url = `${listener.url}/${RouterService.typeName}/Tokenize`;
  expect((await fetch(url, { method: 'POST', headers, body: '{}' })).status).toBe(400);
  const line = () => logged.find(({ requestId }) => requestId === 'late');
  await eventually(() => line() !== undefined, 'it is logged');
  expect(line()?.reason).toBe('INVALID_FIELD');
});

test.each(['Tokenize', 'Generate'])('%s: a message that cannot be read is no fault of ours', async (method) => {
  const client = new Client(`${listener.host}:${listener.port}`, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set('authorization', BEARER.authorization);
  const asIs = (bytes: Buffer) => bytes;
  const malformed = Buffer.from([0x0a, 0xff, 0xff]);
  const path = `/${RouterService.typeName}/${method}`;
  const error = await new Promise<ServiceError | null>((resolve) => {
    if (method === 'Tokenize') client.makeUnaryRequest(path, asIs, asIs, malformed, metadata, resolve);
    else client.makeServerStreamRequest(path, asIs, asIs, malformed, metadata).on('error', resolve).resume();
  });
  client.close();
  expect(error).toMatchObject({ code: status.INVALID_ARGUMENT, details: expect.stringContaining('premature EOF') });
  const told = fromBinary(StatusSchema, error?.metadata.get('grpc-status-details-bin')[0] as Buffer);
  expect(told.details.map((detail) => anyUnpack(detail, ErrorInfoSchema)?.reason)).toEqual(['INVALID_FIELD']);
});
