import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ControlClient, type ControlRequest } from './control-client.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function listening(server: net.Server, path?: string): Promise<URL> {
  server.listen(path ?? { port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  closing.push(() => server.close());
  return new URL(path ? 'http://localhost/v1' : `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`);
}

function clientOf(baseUrl: URL, socketPath?: string): ControlClient {
  const client = new ControlClient({ baseUrl, socketPath });
  closing.push(() => client.close());
  return client;
}

function asking(path: string, signal = new AbortController().signal): ControlRequest {
  return { method: 'GET', path, headers: { authorization: 'Bearer k' }, signal };
}

/** A server that is no HTTP server: it sends these bytes and goes. */
async function sending(bytes: string | Buffer): Promise<URL> {
  return await listening(net.createServer((socket) => socket.on('error', () => undefined).end(bytes)));
}

test('an answer is told whole, whatever its status, and its connection is used again', async () => {
  const ports = new Set<number | undefined>();
  const server = http.createServer(async (request, response) => {
    ports.add(request.socket.remotePort);
    let body = '';
    for await (const part of request) body += part;
    response.writeHead(request.url === '/busy' ? 503 : 200, { 'retry-after': '7' });
    response.end(`${request.method} ${request.url} ${request.headers.host} ${request.headers.authorization} ${body}`);
  });
  const baseUrl = await listening(server);
  const client = clientOf(baseUrl);
  const first = await client.request(asking('/v1/models?a=%20'));
  expect(first).toMatchObject({ status: 200, body: `GET /v1/models?a=%20 ${baseUrl.host} Bearer k ` });
  const second = await client.request({ ...asking('/busy'), method: 'POST', body: '{"ä":1}' });
  expect(second).toMatchObject({ status: 503, body: `POST /busy ${baseUrl.host} Bearer k {"ä":1}` });
  expect(second.headers['retry-after']).toBe('7');
  expect(ports.size).toBe(1);
});

test('a Unix socket is another way to the same server', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'control-'));
  closing.push(() => rmSync(directory, { recursive: true }));
  const socketPath = join(directory, 's.sock');
  const server = http.createServer((request, response) => response.end(request.headers.host));
  const client = clientOf(await listening(server, socketPath), socketPath);
  expect(await client.request(asking('/health'))).toMatchObject({ status: 200, body: 'localhost' });
});

test('what is no HTTP fails without the bytes that came', async () => {
  const client = clientOf(await sending('whose text is this?\r\n\r\n'));
  const error: unknown = await client.request(asking('/')).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(Error);
  expect(error).not.toHaveProperty('rawPacket');
  expect((error as Error).message).toMatch(/^no HTTP: /);
});

test('an answer that breaks off or has no end fails', async () => {
  const broken = clientOf(await sending('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf'));
  await expect(broken.request(asking('/'))).rejects.toThrow(/aborted|terminated/);
  const server = http.createServer((_, response) => {
    const more = (error?: Error | null) => void (error || response.write(Buffer.alloc(1024 * 1024), more));
    more();
  });
  await expect(clientOf(await listening(server)).request(asking('/'))).rejects.toThrow('more than 16777216 bytes');
});

test('a server that goes over to another protocol gives no answer', async () => {
  const client = clientOf(
    await sending('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
  );
  await expect(client.request(asking('/'))).rejects.toThrow('without an answer');
});

test('what goes out on a kept connection that is being closed is asked again on a new one', async () => {
  let connections = 0;
  const server = net.createServer((socket) => {
    connections++;
    let asked = 0;
    socket.on('error', () => undefined);
    socket.on('data', () => {
      if (asked++ > 0) socket.destroy();
      else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
  });
  const client = clientOf(await listening(server));
  for (const method of ['GET', 'GET', 'POST'] as const) {
    expect(await client.request({ ...asking('/'), method, body: method === 'POST' ? '{}' : undefined })).toMatchObject({
      body: 'ok',
    });
  }
  expect(connections).toBe(3);
});

test('the time of idle connections is not that of an answer', async () => {
  const server = http.createServer((_, response) => {
    response.write('a');
    setTimeout(() => response.end('b'), 200);
  });
  const client = new ControlClient({ baseUrl: await listening(server), keepAliveMs: 20 });
  closing.push(() => client.close());
  expect(await client.request(asking('/'))).toMatchObject({ body: 'ab' });
});

test('a request ends with its signal, by its reason', async () => {
  const server = http.createServer((request, response) => {
    if (request.url === '/half') response.write('half');
    server.emit('asked');
  });
  const client = clientOf(await listening(server));
  for (const path of ['/silent', '/half']) {
    const asked = once(server, 'asked');
    const ending = new AbortController();
    const answer = client.request(asking(path, ending.signal));
    await asked;
    ending.abort(new Error('no longer wanted'));
    await expect(answer).rejects.toThrow('no longer wanted');
  }
  await expect(client.request(asking('/', AbortSignal.abort(new Error('never wanted'))))).rejects.toThrow(
    'never wanted',
  );
});

test('what runs when it closes fails, and so does what comes after', async () => {
  const server = http.createServer(() => server.emit('asked'));
  const client = clientOf(await listening(server));
  const asked = once(server, 'asked');
  const answer = client.request(asking('/silent'));
  await asked;
  client.close();
  await expect(answer).rejects.toThrow('socket hang up');
  await expect(client.request(asking('/'))).rejects.toThrow('the connections were closed');
});
