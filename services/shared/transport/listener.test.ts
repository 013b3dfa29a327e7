import { once } from 'node:events';
import net from 'node:net';
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { afterAll, describe, expect, test } from 'vitest';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { fromConnectError } from '../errors/connect-error.ts';
import { HTTP2_CLIENT_LIMITS } from './limits.ts';
import { BEARER, eventually, MESH_TOKEN, startTestListener } from './listener.fixture.ts';
import { PortUnavailable } from './listener.ts';

const { listener, seen } = await startTestListener();
// Without a limit on what they write: the server's is tested.
const base = { baseUrl: listener.url };
const TRANSPORTS: Record<string, Transport> = {
  'Connect over HTTP/1.1': createConnectTransport({ ...base, httpVersion: '1.1' }),
  'Connect over HTTP/2': createConnectTransport({ ...base, httpVersion: '2' }),
  'Connect with JSON': createConnectTransport({ ...base, httpVersion: '1.1', useBinaryFormat: false }),
  'gRPC-Web over HTTP/1.1': createGrpcWebTransport({ ...base, httpVersion: '1.1' }),
  'gRPC-Web over HTTP/2': createGrpcWebTransport({ ...base, httpVersion: '2', nodeOptions: HTTP2_CLIENT_LIMITS }),
  gRPC: createGrpcTransport({ ...base, nodeOptions: HTTP2_CLIENT_LIMITS }),
};

afterAll(() => listener.close());

const prompt = (text: string) => ({ prompt: { input: { case: 'text' as const, value: text } } });

async function failure(promise: Promise<unknown>): Promise<ConnectError> {
  try {
    await promise;
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error('the call succeeded');
}

describe.each(Object.entries(TRANSPORTS))('%s', (_name, transport) => {
  const client = createClient(RouterService, transport);
  const read = async (stream: AsyncIterable<unknown>) => {
    let count = 0;
    for await (const _ of stream) count += 1;
    return count;
  };

  test('answers unary calls and streams', async () => {
    expect((await client.tokenize(prompt('x'), { headers: BEARER })).tokenIds).toEqual([1, 2]);
    expect(await read(client.generate(prompt('two'), { headers: BEARER }))).toBe(3);
    expect(await read(client.generate(prompt('two'), { headers: { 'x-api-key': 'good-key' } }))).toBe(3);
  });

  test('refuses who is not known', async () => {
    expect((await failure(client.tokenize(prompt('x')))).code).toBe(Code.Unauthenticated);
    const wrong = { headers: { authorization: 'Bearer wrong' } };
    expect((await failure(read(client.generate(prompt('two'), wrong)))).code).toBe(Code.Unauthenticated);
    expect(fromConnectError(await failure(read(client.generate(prompt('two'))))).reason).toBe('CREDENTIAL_MISSING');
  });

  test('refuses what a caller may not', async () => {
    const explained = await failure(client.explainRoute({ request: prompt('x') }, { headers: BEARER }));
    expect(fromConnectError(explained)).toMatchObject({ reason: 'SCOPE_MISSING', metadata: { scope: 'models:read' } });
    expect(fromConnectError(await failure(client.embed({}, { headers: BEARER }))).reason).toBe('PEER_ONLY');
    const forged = { headers: { 'mesh-token': `${MESH_TOKEN}x` } };
    expect(fromConnectError(await failure(client.embed({}, forged))).reason).toBe('PEER_ONLY');
    const peer = await failure(client.embed({}, { headers: { 'mesh-token': MESH_TOKEN } }));
    expect(peer.code).toBe(Code.Unimplemented);
  });

  test('names the field of a bad request', async () => {
    const request = { ...prompt('two'), sampling: { temperature: 5 } };
    const error = fromConnectError(await failure(read(client.generate(request, { headers: BEARER }))));
    expect(error).toMatchObject({ reason: 'INVALID_FIELD', metadata: { field: 'sampling.temperature' } });
  });

  test('carries the reason of a failure, and nothing of a fault', async () => {
    const failed = await failure(read(client.generate(prompt('fail'), { headers: BEARER })));
    expect(fromConnectError(failed)).toMatchObject({ reason: 'MODEL_NOT_FOUND', metadata: { model: 'x' } });
    const fault = await failure(client.tokenize({ ...prompt('x'), model: 'broken' }, { headers: BEARER }));
    expect(fault.code).toBe(Code.Internal);
    expect(fault.message).not.toContain('hunter2');
  });

  test('a request id comes back, a malformed one is replaced', async () => {
    const ids: (string | null)[] = [];
    const onHeader = (header: Headers) => ids.push(header.get('x-request-id'));
    await client.tokenize(prompt('x'), { headers: { ...BEARER, 'x-request-id': 'mine-1' }, onHeader });
    await client.tokenize(prompt('x'), { headers: { ...BEARER, 'x-request-id': 'a b' }, onHeader });
    expect(ids).toEqual(['mine-1', expect.stringMatching(/^req_[0-9a-f]{32}$/)]);
  });

  test('a cancelled stream aborts its generation within 100 ms', async () => {
    const aborter = new AbortController();
    const stream = client.generate(prompt('wait'), { headers: BEARER, signal: aborter.signal });
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    const call = seen.calls.at(-1);
    expect(call?.signal.aborted).toBe(false);
    aborter.abort();
    await failure(iterator.next());
    await eventually(() => call?.signal.aborted === true, 'the signal aborts', 100);
    expect(call?.signal.reason).toMatchObject({ reason: 'CLIENT_GONE' });
  });

  test('a cancelled unary call aborts its handler within 100 ms', async () => {
    const aborter = new AbortController();
    const before = seen.contexts.length;
    const call = client.tokenize({ ...prompt('x'), model: 'hang' }, { headers: BEARER, signal: aborter.signal });
    await eventually(() => seen.contexts.length > before, 'the handler runs');
    aborter.abort();
    expect((await failure(call)).code).toBe(Code.Canceled);
    await eventually(() => seen.contexts.at(-1)?.signal.aborted === true, 'the signal aborts', 100);
  });

  test('a deadline aborts with its reason', async () => {
    const stream = client.generate(prompt('wait'), { headers: BEARER, timeoutMs: 150 });
    expect((await failure(read(stream))).code).toBe(Code.DeadlineExceeded);
    await eventually(() => seen.calls.at(-1)?.signal.aborted === true, 'the signal aborts', 500);
    expect(seen.calls.at(-1)?.signal.reason).toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
  });

  test('a deadline over the limit is refused', async () => {
    const options = { headers: BEARER, timeoutMs: 11 * 60 * 1000 };
    expect((await failure(client.tokenize(prompt('x'), options))).code).toBe(Code.InvalidArgument);
  });

  test('a message over the limit is refused', async () => {
    const error = await failure(client.tokenize(prompt('x'.repeat(17 * 1024 * 1024)), { headers: BEARER }));
    expect(error.code).toBe(Code.ResourceExhausted);
  });
});

test('a person with curl can read the details of an error', async () => {
  const url = `${listener.url}/mesh.router.v1.RouterService/ExplainRoute`;
  const headers = { ...BEARER, 'content-type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body: '{"request":{"prompt":{"text":"x"}}}' });
  expect(response.status).toBe(403);
  expect(await response.json()).toMatchObject({
    code: 'permission_denied',
    details: [{ debug: { reason: 'SCOPE_MISSING', metadata: { scope: 'models:read' } } }],
  });
});

test('a port that is taken is told apart', async () => {
  await expect(startTestListener({ port: listener.port })).rejects.toBeInstanceOf(PortUnavailable);
});

test('a method without an entry in the authorization table stops the start', async () => {
  const { createAuthorizer } = await import('../interceptors/authorize.ts');
  const authorizer = createAuthorizer({ table: new Map(), meshToken: undefined, authenticate: () => Promise.reject() });
  await expect(startTestListener({ authorizer })).rejects.toThrow('mesh.router.v1.RouterService/Generate');
});

test('connections over the limit are closed at once, and there is room again when one has gone', async () => {
  const { listener } = await startTestListener({
    maxConnections: 2,
    fallback: (_request, response) => void response.end('served'),
  });
  const connect = async () => {
    const socket = net.connect(listener.port, '127.0.0.1').on('error', () => {});
    await once(socket, 'connect');
    return socket;
  };
  const served = async (socket: net.Socket) => {
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk;
    });
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await new Promise((resolve) => socket.once('close', resolve));
    return received.includes('served');
  };
  const [first, second] = [await connect(), await connect()];
  expect(await served(await connect())).toBe(false);
  expect(await served(first)).toBe(true);
  await eventually(async () => served(await connect()), 'there is room');
  second.destroy();
  await listener.close();
});
