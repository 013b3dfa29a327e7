import http2, { type ClientHttp2Session, constants } from 'node:http2';
import net from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { stretched } from '../../../test/harness/patience.ts';
import { BEARER, eventually, startTestListener } from './listener.fixture.ts';

const { listener, seen } = await startTestListener({
  bodyTimeoutMs: 2_000,
  fallback(request, response) {
    if (request.url === '/throws') throw new Error('thrown by a handler');
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    request.on('end', () => response.end(JSON.stringify({ bytes })));
  },
});
afterAll(() => listener.close());

const TOKENIZE = `${listener.url}/mesh.router.v1.RouterService/Tokenize`;

function post(url: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) {
  return fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json', ...BEARER, ...headers } });
}

/** Writes the pieces with a pause between them and collects what comes back until the connection closes. */
function raw(pieces: readonly string[], pauseMs = 20): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(listener.port, '127.0.0.1');
    let received = '';
    const pending = [...pieces];
    const writeNext = () => {
      const piece = pending.shift();
      if (piece === undefined || socket.destroyed) return;
      socket.write(piece);
      setTimeout(writeNext, pauseMs);
    };
    socket.on('connect', writeNext);
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
    });
    socket.on('close', () => resolve(received));
    socket.on('error', (error) => (received ? resolve(received) : reject(error)));
  });
}

async function isAlive(): Promise<boolean> {
  const response = await post(TOKENIZE, JSON.stringify({ prompt: { text: 'x' } }));
  return response.status === 200;
}

describe('bodies', () => {
  test('100,000 levels of JSON are an error, as arrays, objects and inside a Struct', async () => {
    const depth = 100_000;
    const bodies = [
      '['.repeat(depth),
      '['.repeat(depth) + ']'.repeat(depth),
      `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`,
      `{"prompt":{"chat":{"messages":[],"templateOptions":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}}}`,
    ];
    for (const body of bodies) {
      const response = await post(TOKENIZE, body);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ code: 'invalid_argument' });
    }
    expect(await isAlive()).toBe(true);
  });

  test('deep and malformed Protobuf is an error', async () => {
    // Value{list_value{values{…}}}, built from the inside out, inside chat.template_options.fields["a"].
    let bytes = Buffer.from([]);
    const field = (tag: number, content: Buffer) => {
      const length: number[] = [];
      for (let rest = content.length; ; rest >>>= 7) {
        length.push(rest > 127 ? (rest & 127) | 128 : rest);
        if (rest <= 127) break;
      }
      return Buffer.concat([Buffer.from([(tag << 3) | 2, ...length]), content]);
    };
    for (let level = 0; level < 3_000; level += 1) bytes = field(1, field(6, bytes));
    const entry = Buffer.concat([field(1, Buffer.from('a')), field(2, bytes)]);
    const body = field(2, field(3, field(2, field(1, entry))));
    const response = await post(TOKENIZE, new Uint8Array(body), { 'content-type': 'application/proto' });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: 'invalid_argument' });
    expect(await isAlive()).toBe(true);
  });

  test('a gzip bomb is refused quickly', async () => {
    const bomb = new Uint8Array(gzipSync(Buffer.alloc(256 * 1024 * 1024, ' ')));
    const before = process.cpuUsage();
    const response = await post(TOKENIZE, bomb, { 'content-encoding': 'gzip' });
    expect(response.status).toBe(429);
    expect(await response.json()).toMatchObject({ code: 'resource_exhausted' });
    // Of all threads: it is inflated on another.
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(1_000);
  });

  test('a gzip bomb of nobody is not even inflated', async () => {
    const bomb = new Uint8Array(gzipSync(Buffer.alloc(1024 * 1024, ' ')));
    const headers = { 'content-encoding': 'gzip', authorization: 'Bearer wrong' };
    expect((await post(TOKENIZE, bomb, headers)).status).toBe(401);
  });

  test('a body over the limit is refused', async () => {
    const response = await post(TOKENIZE, JSON.stringify({ prompt: { text: 'x'.repeat(17 * 1024 * 1024) } }));
    expect(response.status).toBe(429);
  });
});

describe('connections', () => {
  test('a request in pieces of one byte is served', async () => {
    const request = 'GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    expect(await raw([...request], 1)).toContain('200 OK');
  });

  test('an HTTP/2 preface in pieces is served', async () => {
    const session = await slowHttp2();
    const stream = session.request({ ':path': '/x' });
    const [headers] = await new Promise<[http2.IncomingHttpHeaders]>((resolve) =>
      stream.once('response', (received) => resolve([received])),
    );
    expect(headers[':status']).toBe(200);
    session.destroy();
  });

  test('a malformed Host is answered, not thrown into the process', async () => {
    const path = '/mesh.router.v1.RouterService/Tokenize';
    const close = 'Connection: close\r\nContent-Length: 0\r\n\r\n';
    expect(await raw([`POST ${path} HTTP/1.0\r\n${close}`])).toContain('400 Bad Request');
    expect(await raw([`POST ${path} HTTP/1.1\r\nHost: [\r\n${close}`])).toContain('400 Bad Request');
    expect(await isAlive()).toBe(true);
  });

  test('two lengths in one request are refused', async () => {
    const smuggled = 'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n';
    expect(await raw([smuggled])).toContain('400 Bad Request');
  });

  test('headers over 16 KiB are refused', async () => {
    expect(await raw([`GET /x HTTP/1.1\r\nHost: a\r\nX-A: ${'x'.repeat(20_000)}\r\n\r\n`])).toContain('431');
  });

  test('headers that do not come are not waited for', async () => {
    const startedAt = performance.now();
    const answer = await raw(['GET /x HTTP/1.1\r\n']);
    expect(answer).toContain('408 Request Timeout');
    expect(performance.now() - startedAt).toBeLessThan(stretched(5_000));
  });

  test('a body that does not come is not waited for, over HTTP/1.1 and HTTP/2', async () => {
    for (const path of ['/x', '/mesh.router.v1.RouterService/Tokenize']) {
      const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good-key\r\n`;
      const answer = await raw([`${head}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{`]);
      expect(answer).toContain('408 Request Timeout');
      const session = http2.connect(listener.url);
      const headers = { 'content-type': 'application/json', ...BEARER };
      const stream = session.request({ ':method': 'POST', ':path': path, ...headers });
      stream.write('{');
      const status = await new Promise((resolve) => stream.once('response', (got) => resolve(got[':status'])));
      expect(status).toBe(408);
      stream.resume();
      await new Promise((resolve) => stream.once('close', resolve));
      session.destroy();
    }
    expect(await isAlive()).toBe(true);
  });

  test('a stream that stays open longer than a body may take goes on', async () => {
    const session = http2.connect(listener.url);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/mesh.router.v1.RouterService/Generate',
      'content-type': 'application/connect+json',
      ...BEARER,
    });
    const message = JSON.stringify({ prompt: { text: 'wait' } });
    stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), Buffer.from(message)]));
    await new Promise((resolve) => stream.once('response', resolve));
    const call = seen.calls.at(-1);
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    expect(call?.signal.aborted).toBe(false);
    session.destroy();
  });

  test('a connection that says nothing is closed', async () => {
    const startedAt = performance.now();
    expect(await raw([])).toBe('');
    expect(performance.now() - startedAt).toBeLessThan(stretched(7_000));
  });

  test('garbage over HTTP/2 harms nobody', async () => {
    const answer = await raw([`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${'\xff'.repeat(4_000)}`]);
    expect(answer).not.toContain('HTTP/1.1');
    expect(await isAlive()).toBe(true);
  });

  test('a client that resets in the middle of an answer harms nobody', async () => {
    const before = seen.calls.length;
    const socket = net.connect(listener.port, '127.0.0.1');
    const message = JSON.stringify({ prompt: { text: 'flood' } });
    const body = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), Buffer.from(message)]);
    socket.write(
      'POST /mesh.router.v1.RouterService/Generate HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good-key\r\n' +
        `Content-Type: application/connect+json\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    socket.write(body);
    socket.once('data', () => socket.resetAndDestroy());
    await eventually(() => seen.calls[before]?.signal.aborted === true, 'the generation is aborted');
    expect(await isAlive()).toBe(true);
  });

  test('a handler that throws is a 500', async () => {
    expect((await fetch(`${listener.url}/throws`)).status).toBe(500);
  });
});

/** A session whose first bytes arrive one by one. */
function slowHttp2(): Promise<ClientHttp2Session> {
  return new Promise((resolve) => {
    const proxy = net.createServer((client) => {
      proxy.close();
      const server = net.connect({ port: listener.port, host: '127.0.0.1', noDelay: true });
      server.pipe(client);
      client.once('data', async (chunk: Buffer) => {
        client.pause();
        for (const byte of chunk) {
          server.write(Buffer.from([byte]));
          await new Promise((next) => setTimeout(next, 1));
        }
        client.pipe(server);
      });
      client.on('error', () => server.destroy());
      server.on('error', () => client.destroy());
    });
    proxy.listen(0, '127.0.0.1', () => {
      const address = proxy.address();
      const port = address !== null && typeof address === 'object' ? address.port : 0;
      const session = http2.connect(`http://127.0.0.1:${port}`);
      session.on('error', () => session.destroy(undefined, constants.NGHTTP2_NO_ERROR));
      resolve(session);
    });
  });
}
