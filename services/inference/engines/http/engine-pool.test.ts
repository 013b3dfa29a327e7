import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import { createAuthority } from '../../../../test/harness/certificates.ts';
import { EnginePool, type EnginePoolOptions } from './engine-pool.ts';
import type { ResponseHandler } from './engine-socket.ts';
import type { ResponseHead } from './response-head.ts';

/** Generous: the machine may do other work. */
const PATIENT = { timeout: 60_000 };

const closings: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closings.splice(0).reverse()) await close();
});

class Recorder implements ResponseHandler {
  head: ResponseHead | undefined;
  body = '';
  failure: { error: Error; wasSent: boolean } | undefined;
  readonly over = Promise.withResolvers<'complete' | 'failed'>();
  #end: 'complete' | 'failed' | undefined;

  onHead(head: ResponseHead): void {
    this.head = head;
  }

  onBody(bytes: Buffer): void {
    this.body += bytes.toString();
  }

  onComplete(): void {
    this.#end = 'complete';
  }

  onFailed(error: Error, wasSent: boolean): void {
    this.#end = 'failed';
    this.failure = { error, wasSent };
  }

  onReadOver(): void {
    if (this.#end) this.over.resolve(this.#end);
  }
}

/** A server of bytes: `onRequest` is called for each whole request without a body, with its connection's number. */
async function rawServer(onRequest: (socket: net.Socket, connection: number) => void): Promise<URL> {
  let connections = 0;
  const server = net.createServer((socket) => {
    const connection = ++connections;
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      if (bytes.toString().includes('\r\n\r\n')) onRequest(socket, connection);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closings.push(() => server.close());
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

function poolOf(options: EnginePoolOptions): EnginePool {
  const pool = new EnginePool(options);
  closings.push(() => pool.close());
  return pool;
}

function send(pool: EnginePool, body = ''): Recorder {
  const recorder = new Recorder();
  pool.send({ method: 'POST', path: '/v1/x', headers: ['content-type', 'text/plain'], body }, recorder);
  return recorder;
}

const answer = (text: string, headers = ''): string =>
  `HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n${headers}\r\n${text}`;

test('Node reads the request as it was meant, over TCP and IPv6', async () => {
  const seen: object[] = [];
  const server = http.createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text) => {
      body += text;
    });
    request.on('end', () => {
      const { host, 'content-type': type, 'content-length': length } = request.headers;
      seen.push({ line: `${request.method} ${request.url}`, host, type, length, body });
      response.end('ok');
    });
  });
  closings.push(() => server.close());
  server.listen(0, '::');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  for (const host of ['127.0.0.1', '[::1]', 'localhost']) {
    const pool = poolOf({ origin: new URL(`http://${host}:${port}`) });
    const recorder = send(pool, 'Grüße');
    expect(await recorder.over.promise).toBe('complete');
    expect(recorder.body).toBe('ok');
    expect(seen.pop()).toEqual({
      line: 'POST /v1/x',
      host: `${host}:${port}`,
      type: 'text/plain',
      length: '7',
      body: 'Grüße',
    });
  }
});

test('a Unix socket is a server too', async () => {
  const socketPath = join(tmpdir(), `engine-pool-${process.pid}.sock`);
  const server = http.createServer((_request, response) => response.end('over a file')).listen(socketPath);
  closings.push(() => server.close());
  await once(server, 'listening');
  const recorder = send(poolOf({ origin: new URL('http://engine'), socketPath }));
  expect(await recorder.over.promise).toBe('complete');
  expect(recorder.body).toBe('over a file');
});

test('TLS: a certificate is verified, and a pause holds there too', async () => {
  const authority = createAuthority();
  const names: (string | false | null)[] = [];
  const body = 'x'.repeat(20_000_000);
  let blocked: tls.TLSSocket | undefined;
  const server = https.createServer(authority.issue({ names: ['localhost'] }), (request, response) => {
    blocked = request.socket as tls.TLSSocket;
    names.push(blocked.servername, blocked.alpnProtocol);
    response.end(body);
  });
  closings.push(() => server.close());
  server.listen(0, 'localhost');
  await once(server, 'listening');
  const origin = new URL(`https://localhost:${(server.address() as AddressInfo).port}`);
  const stranger = send(poolOf({ origin }));
  expect(await stranger.over.promise).toBe('failed');
  expect(stranger.failure?.wasSent).toBe(false);

  const known = tls.getCACertificates('default');
  tls.setDefaultCACertificates([...known, authority.ca]);
  closings.push(() => tls.setDefaultCACertificates(known));
  const recorder = new Recorder();
  const exchange = poolOf({ origin }).send({ method: 'POST', path: '/', headers: [], body: '' }, recorder);
  exchange.setPaused(true);
  await expect.poll(() => blocked?.writableNeedDrain, PATIENT).toBe(true);
  exchange.setPaused(false);
  expect(await recorder.over.promise).toBe('complete');
  expect(recorder.body === body).toBe(true);
  expect(names).toEqual(['localhost', 'http/1.1']);
});

test('a connection is used again, the one used last first', async () => {
  const origin = await rawServer((socket, connection) => socket.write(answer(String(connection))));
  const pool = poolOf({ origin });
  const both = [send(pool), send(pool)];
  await Promise.all(both.map((one) => one.over.promise));
  expect(both.map(({ body }) => body).sort()).toEqual(['1', '2']);
  const third = send(pool);
  await third.over.promise;
  const fourth = send(pool);
  await fourth.over.promise;
  expect(fourth.body).toBe(third.body);
});

test.each([
  ['the server says so', 'connection: close\r\n'],
  ['the server does not wait', 'keep-alive: timeout=1\r\n'],
])('a connection is not used again where %s', async (_why, header) => {
  const origin = await rawServer((socket, connection) => socket.write(answer(String(connection), header)));
  const pool = poolOf({ origin });
  for (const connection of ['1', '2']) {
    const recorder = send(pool);
    await recorder.over.promise;
    expect(recorder.body).toBe(connection);
  }
});

test('an idle connection is closed when its time is over, and one that the server closed is not used', async () => {
  const sockets: net.Socket[] = [];
  const origin = await rawServer((socket, connection) => {
    sockets.push(socket);
    socket.write(answer(String(connection)));
  });
  const pool = poolOf({ origin, keepAliveMs: 50 });
  await send(pool).over.promise;
  await expect.poll(() => sockets[0]?.readyState, PATIENT).toBe('closed');
  const patient = poolOf({ origin, keepAliveMs: 600_000 });
  await send(patient).over.promise;
  sockets[1]?.end();
  await once(sockets[1] as net.Socket, 'close');
  const next = send(patient);
  expect(await next.over.promise).toBe('complete');
  expect(next.body).toBe('3');
});

test('no more than the limit run; who waits is sent next, in order, and may be given up', async () => {
  const asked: net.Socket[] = [];
  const origin = await rawServer((socket) => asked.push(socket));
  const pool = poolOf({ origin, maxConnections: 1 });
  const first = send(pool);
  const given = new Recorder();
  const second = pool.send({ method: 'POST', path: '/', headers: [], body: '' }, given);
  const third = send(pool);
  second.abort();
  await expect.poll(() => asked.length, PATIENT).toBe(1);
  asked[0]?.write(answer('a'));
  await first.over.promise;
  await expect.poll(() => asked.length, PATIENT).toBe(2);
  expect(asked[1]).toBe(asked[0]);
  asked[1]?.write(answer('b'));
  await third.over.promise;
  expect([first.body, third.body, given.body]).toEqual(['a', 'b', '']);
});

test('who waits is sent on another connection when the first breaks', async () => {
  const asked: net.Socket[] = [];
  const origin = await rawServer((socket) => asked.push(socket));
  const pool = poolOf({ origin, maxConnections: 1 });
  const [first, second] = [send(pool), send(pool)];
  await expect.poll(() => asked.length, PATIENT).toBe(1);
  asked[0]?.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf');
  asked[0]?.end();
  expect(await first.over.promise).toBe('failed');
  expect(first.body).toBe('half');
  expect(first.failure?.wasSent).toBe(true);
  await expect.poll(() => asked.length, PATIENT).toBe(2);
  asked[1]?.write(answer('whole'));
  await second.over.promise;
  expect(second.body).toBe('whole');
});

test('bytes beyond an answer end the connection, not the next exchange', async () => {
  const origin = await rawServer((socket, connection) =>
    socket.write(answer(String(connection)) + (connection === 1 ? 'HTTP/1.1 200 OK\r\n\r\n' : '')),
  );
  const pool = poolOf({ origin });
  expect(await send(pool).over.promise).toBe('failed');
  const next = send(pool);
  expect(await next.over.promise).toBe('complete');
  expect(next.body).toBe('2');
});

test('an answer without a length ends with its connection', async () => {
  const origin = await rawServer((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nall of it'));
  const recorder = send(poolOf({ origin }));
  expect(await recorder.over.promise).toBe('complete');
  expect(recorder.body).toBe('all of it');
});

test('who cannot be reached was sent nothing', async () => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  server.close();
  await once(server, 'close');
  const recorder = send(poolOf({ origin }));
  expect(await recorder.over.promise).toBe('failed');
  expect(recorder.failure).toMatchObject({ wasSent: false, error: { code: 'ECONNREFUSED' } });
});

test('a pool that is closed ends what runs and takes nothing', async () => {
  const asked: net.Socket[] = [];
  const origin = await rawServer((socket) => asked.push(socket));
  const pool = poolOf({ origin, maxConnections: 1 });
  const [running, waiting] = [send(pool), send(pool)];
  await expect.poll(() => asked.length, PATIENT).toBe(1);
  pool.close();
  expect(await Promise.all([running, waiting, send(pool)].map((one) => one.over.promise))).toEqual([
    'failed',
    'failed',
    'failed',
  ]);
  expect([running.failure?.wasSent, waiting.failure?.wasSent]).toEqual([true, false]);
});

test('a pause holds before anything was sent, and for its own exchange only', async () => {
  const asked: net.Socket[] = [];
  const origin = await rawServer((socket) => asked.push(socket));
  const pool = poolOf({ origin, maxConnections: 1 });
  const first = new Recorder();
  const exchange = pool.send({ method: 'POST', path: '/', headers: [], body: '' }, first);
  exchange.setPaused(true);
  const second = send(pool);
  await expect.poll(() => asked.length, PATIENT).toBe(1);
  // More than the kernel takes: not all of it can leave while nobody reads.
  asked[0]?.write(answer('x'.repeat(20_000_000)));
  await expect.poll(() => asked[0]?.writableNeedDrain, PATIENT).toBe(true);
  expect(first.body).toBe('');
  exchange.setPaused(false);
  await first.over.promise;
  expect(first.body).toHaveLength(20_000_000);
  exchange.setPaused(true);
  exchange.abort();
  await expect.poll(() => asked.length, PATIENT).toBe(2);
  asked[1]?.write(answer('mine'));
  await second.over.promise;
  expect(second.body).toBe('mine');
});

test.each([
  ['/a b', 'ok'],
  ['/a\r\nx: y', 'ok'],
  ['/a', 'a\r\nx: y'],
])('nothing splits a request: %j, %j', (path, value) => {
  const pool = poolOf({ origin: new URL('http://127.0.0.1:9') });
  expect(() => pool.send({ method: 'POST', path, headers: ['x-request-id', value], body: '' }, new Recorder())).toThrow(
    TypeError,
  );
});
