import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { Client, credentials, status } from '@grpc/grpc-js';
import { afterAll, expect, test } from 'vitest';
import { TasksService } from '../../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { startTestListener } from './listener.fixture.ts';

// A service that this listener does not have.
const { listener } = await startTestListener({
  fallback: (_request, response) => {
    response.statusCode = 404;
    response.setHeader('x-from', 'fallback');
    response.end();
  },
});
afterAll(() => listener.close());

const base = { baseUrl: listener.url };
const TRANSPORTS: Record<string, Transport> = {
  'Connect over HTTP/1.1': createConnectTransport({ ...base, httpVersion: '1.1' }),
  'Connect with JSON over HTTP/2': createConnectTransport({ ...base, httpVersion: '2', useBinaryFormat: false }),
  'gRPC-Web over HTTP/1.1': createGrpcWebTransport({ ...base, httpVersion: '1.1' }),
  'gRPC-Web over HTTP/2': createGrpcWebTransport({ ...base, httpVersion: '2' }),
  gRPC: createGrpcTransport(base),
};
const said = { code: Code.Unimplemented, rawMessage: 'There is no such method here.' };

test.each(Object.keys(TRANSPORTS))('%s: a unary call of a method that is not there is told so', async (name) => {
  const client = createClient(TasksService, TRANSPORTS[name] as Transport);
  const error = await client.list({}).catch((caught: unknown) => ConnectError.from(caught));
  expect(error).toMatchObject(said);
});

test.each(['gRPC', 'gRPC-Web over HTTP/1.1'])('%s: so is a stream', async (name) => {
  const client = createClient(TasksService, TRANSPORTS[name] as Transport);
  const error = await Array.fromAsync(client.watch({})).catch((caught: unknown) => ConnectError.from(caught));
  expect(error).toMatchObject(said);
});

test('a stream of Connect, which has no place for it before it begins, by the status of HTTP', async () => {
  const client = createClient(TasksService, TRANSPORTS['Connect over HTTP/1.1'] as Transport);
  await expect(Array.fromAsync(client.watch({}))).rejects.toMatchObject({ code: Code.Unimplemented });
});

test('grpc-js reads it too', async () => {
  const client = new Client(`${listener.host}:${listener.port}`, credentials.createInsecure());
  const ended = new Promise((resolve) => {
    const bytes = (buffer: Buffer) => buffer;
    client.makeUnaryRequest('/no.such.Service/Method', bytes, bytes, Buffer.alloc(0), resolve);
  });
  expect(await ended).toMatchObject({ code: status.UNIMPLEMENTED, details: said.rawMessage });
  client.close();
});

test('a request that is no RPC is the fallback’s', async () => {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${listener.url}/no.such.Service/Method`, { method: 'POST', headers, body: '{}' });
  expect([answer.status, answer.headers.get('x-from')]).toEqual([404, 'fallback']);
});
