import { once } from 'node:events';
import http2, { type ClientHttp2Session, constants } from 'node:http2';
import net from 'node:net';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Health } from '../../../gen/grpc/health/v1/health_pb.ts';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { BEARER, eventually, startTestListener } from './listener.fixture.ts';
import type { ListenerOptions } from './listener.ts';
import { SESSION_LIFETIME } from './session-lifetime.ts';

async function start(lifetime: ListenerOptions['lifetime'], more: Partial<ListenerOptions> = {}) {
  const started = await startTestListener({ ...(lifetime && { lifetime }), ...more });
  onTestFinished(() => started.listener.close());
  return started;
}

/** A client of gRPC, with what it was told to leave. */
function grpcClient(port: number, options = {}) {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), options);
  onTestFinished(() => client.close());
  return client;
}

const asIs = (bytes: Buffer) => bytes;
const prompt = (text: string) =>
  Buffer.concat([Buffer.from([0x12, text.length + 2, 0x0a, text.length]), Buffer.from(text)]);

/** ListModels by grpc-js; resolves to the code. */
function listModels(client: Client): Promise<number> {
  return new Promise((resolve) => {
    const done = (error: ServiceError | null) => resolve(error?.code ?? status.OK);
    client.makeUnaryRequest('/mesh.router.v1.RouterService/ListModels', asIs, asIs, Buffer.alloc(0), done);
  });
}

function bearer(): Metadata {
  const metadata = new Metadata();
  metadata.set('authorization', BEARER.authorization);
  return metadata;
}

/** A bare session with a running stream, and the GOAWAY frames that it has seen. */
async function openSession(url: string) {
  const session = http2.connect(url);
  session.on('error', () => {});
  onTestFinished(() => session.destroy());
  const goaways: { code: number; last: number }[] = [];
  session.on('goaway', (code, last) => goaways.push({ code, last }));
  const stream = session.request({
    ':method': 'POST',
    ':path': '/mesh.router.v1.RouterService/Generate',
    'content-type': 'application/grpc',
    ...BEARER,
  });
  stream.on('error', () => {});
  const message = prompt('wait');
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([frame, message]));
  await once(stream.resume(), 'response');
  return { session, stream, goaways };
}

describe('max age', () => {
  test('an old connection is told to go, its stream goes on, and it ends with it', async () => {
    const { listener } = await start({ ...SESSION_LIFETIME, maxAgeMs: 50 });
    const { session, stream, goaways } = await openSession(listener.url);
    await eventually(() => goaways.length === 2, 'both words');
    // First that any stream is welcome, then which was the last.
    expect(goaways.map(({ code }) => code)).toEqual([constants.NGHTTP2_NO_ERROR, constants.NGHTTP2_NO_ERROR]);
    expect(goaways.map(({ last }) => last)).toEqual([2 ** 31 - 1, 1]);
    expect([stream.closed, session.destroyed]).toEqual([false, false]);
    stream.close(constants.NGHTTP2_CANCEL);
    await eventually(() => session.destroyed, 'the connection ends');
  });

  test('a grpc-js client that calls all the time loses nothing', async () => {
    const connections = new Set<number>();
    const { listener } = await start({ ...SESSION_LIFETIME, maxAgeMs: 25 });
    const proxy = await countingProxy(listener.port, connections);
    const client = grpcClient(proxy.port);
    const codes = new Set<number>();
    while (connections.size < 5) codes.add(await listModels(client));
    expect([...codes]).toEqual([status.OK]);
  });

  test('without one nobody is told to go', async () => {
    const { listener } = await start({ ...SESSION_LIFETIME, pingIntervalMs: 20 });
    const { session, goaways } = await openSession(listener.url);
    let pings = 0;
    session.on('ping', () => {
      pings += 1;
    });
    await eventually(() => pings >= 5, 'five pings of the server');
    expect([goaways, session.destroyed]).toEqual([[], false]);
  });
});

describe('pings', () => {
  test('a client that has vanished is found, and what runs for it is told', async () => {
    const { listener, seen } = await start({ pingIntervalMs: 20, pingTimeoutMs: 100 });
    const proxy = await countingProxy(listener.port, new Set());
    await openSession(`http://127.0.0.1:${proxy.port}`);
    expect(seen.calls[0]?.signal.aborted).toBe(false);
    // Nothing comes any more, not even an end: as from a machine that has lost its power.
    proxy.lose();
    await eventually(() => seen.calls[0]?.signal.aborted === true, 'the generation is cut');
    expect(seen.calls[0]?.signal.reason).toMatchObject({ reason: 'CLIENT_GONE' });
  });

  test('a connection on which nothing runs is not asked: its silence ends it', async () => {
    const { listener } = await start({ pingIntervalMs: 10, pingTimeoutMs: 100 }, { idleSessionMs: 200 });
    const session: ClientHttp2Session = http2.connect(listener.url);
    let pings = 0;
    session.on('ping', () => {
      pings += 1;
    });
    await once(session, 'close');
    expect(pings).toBe(0);
  });

  test('a grpc-js client with keepalive is not punished, with calls and without', async () => {
    const { listener } = await start(undefined, { idleSessionMs: 300 });
    const connections = new Set<number>();
    const proxy = await countingProxy(listener.port, connections);
    const keepalive = {
      'grpc.keepalive_time_ms': 20,
      'grpc.keepalive_timeout_ms': 20_000,
      'grpc.keepalive_permit_without_calls': 1,
    };
    const client = grpcClient(proxy.port, keepalive);
    const call = client.makeServerStreamRequest(
      '/mesh.router.v1.RouterService/Generate',
      asIs,
      asIs,
      prompt('wait'),
      bearer(),
    );
    const ended: unknown[] = [];
    call.on('error', (error: ServiceError) => ended.push(error.code));
    await once(call, 'data');
    const bytes = () => proxy.bytesFromClient();
    // A ping has 17 bytes. Node's own limits on frames that cost would end it much earlier.
    const before = bytes();
    await eventually(() => bytes() - before > 17 * 60, '60 pings beside a stream');
    expect(ended).toEqual([]);
    call.cancel();
    await eventually(() => ended.length === 1, 'the stream is over');
    const idleFrom = bytes();
    // Longer than a silent connection is kept.
    await eventually(() => bytes() - idleFrom > 17 * 60, '60 pings beside nothing');
    expect(await listModels(client)).toBe(status.OK);
    expect(connections.size).toBe(1);
  });
});

describe('a drain', () => {
  test('tells clients to leave their connections, and what runs goes on', async () => {
    const { listener } = await start(undefined);
    const { session, stream, goaways } = await openSession(listener.url);
    expect(await listener.drain(1)).toBe(false);
    await eventually(() => goaways.length === 2, 'both words');
    expect([goaways[1]?.last, stream.closed, session.destroyed]).toEqual([1, false, false]);
  });

  test('who connects meanwhile is answered first', async () => {
    const { listener, health } = await start(undefined);
    health.set('', true);
    await listener.drain(1);
    const probe = createClient(Health, createGrpcTransport({ baseUrl: listener.url }));
    for (let call = 0; call < 3; call += 1) expect((await probe.check({})).status).toBe(1);
    const router = createClient(RouterService, createGrpcTransport({ baseUrl: listener.url }));
    await expect(router.tokenize({}, { headers: BEARER })).rejects.toThrow('shutting down');
  });

  test('processes of the mesh, who call all the time, are told to do so elsewhere when they had their time', async () => {
    const { listener } = await start(undefined, { isForPeers: true });
    const session = http2.connect(listener.url);
    onTestFinished(() => session.destroy());
    const goaways: number[] = [];
    session.on('goaway', (code) => goaways.push(code));
    await once(session, 'remoteSettings');
    await new Promise((resolve) => session.ping(resolve));
    const closed = once(session, 'close');
    await listener.drain(1);
    await new Promise((resolve) => session.ping(resolve));
    // They may have something to settle.
    expect(goaways).toEqual([]);
    await listener.peersGone(50, { stopMs: 10, returnMs: 40, againMs: 40 });
    await closed;
    expect(goaways[0]).toBe(0);
  });
});

/** Stands before a port and counts connections, by their ports, and bytes of clients. */
async function countingProxy(port: number, connections: Set<number>) {
  let bytesFromClient = 0;
  const losses: (() => void)[] = [];
  const server = net.createServer((client) => {
    connections.add(client.remotePort ?? 0);
    const upstream = net.connect(port, '127.0.0.1');
    client.on('data', (chunk) => {
      bytesFromClient += chunk.length;
    });
    client.pipe(upstream).pipe(client);
    losses.push(() => client.unpipe(upstream));
    for (const socket of [client, upstream]) {
      socket.on('error', () => {});
      socket.on('close', () => {
        // Not before it has sent what it still has.
        client.destroySoon();
        upstream.destroySoon();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return {
    port: (server.address() as net.AddressInfo).port,
    bytesFromClient: () => bytesFromClient,
    lose: () => {
      for (const lose of losses) lose();
    },
  };
}
