import { once } from 'node:events';
import http, { type ServerResponse } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { type StreamedBody, streamedBody } from './streamed-body.ts';

const PATIENT = { timeout: 60_000 };

const closings: (() => unknown)[] = [];
afterEach(() => {
  for (const close of closings.splice(0).reverse()) close();
});

interface Opened {
  readonly response: ServerResponse;
  readonly body: StreamedBody;
}

/** A server that opens a streamed body for every request, and leaves it to the test. */
async function server(): Promise<{ port: number; opened: Opened[] }> {
  const opened: Opened[] = [];
  const listening = http.createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' });
    opened.push({ response, body: streamedBody(response) });
  });
  closings.push(() => listening.close());
  listening.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  return { port: (listening.address() as AddressInfo).port, opened };
}

function connect(port: number, bytes: string): net.Socket {
  const socket = net.connect(port, '127.0.0.1');
  closings.push(() => socket.destroy());
  socket.write(bytes);
  return socket;
}

const GET = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';

test('a client reads what was written, whatever its characters', async () => {
  const { port, opened } = await server();
  const answer = fetch(`http://127.0.0.1:${port}/`).then((response) => response.text());
  await expect.poll(() => opened.length, PATIENT).toBe(1);
  const { body } = opened[0] as Opened;
  for (const part of ['plain ', 'Grüße ', '漢字 ', '🙂 ']) body.write(part);
  body.end('end');
  expect(await answer).toBe('plain Grüße 漢字 🙂 end');
});

test('an end without text ends the body once', async () => {
  const { port, opened } = await server();
  const socket = connect(port, GET.replace('\r\n\r\n', '\r\nconnection: close\r\n\r\n'));
  await expect.poll(() => opened.length, PATIENT).toBe(1);
  opened[0]?.body.write('all');
  opened[0]?.body.end('');
  expect(await text(socket)).toMatch(/\r\n\r\n3\r\nall\r\n0\r\n\r\n$/);
});

test('a response that waits behind another on its connection mixes with nothing', async () => {
  const { port, opened } = await server();
  const socket = connect(port, GET + GET.replace('\r\n\r\n', '\r\nconnection: close\r\n\r\n'));
  await expect.poll(() => opened.length, PATIENT).toBe(2);
  const [first, second] = opened as [Opened, Opened];
  second.body.write('[second');
  first.body.write('[first');
  second.body.write(' goes on');
  first.body.write(' goes on');
  first.body.end(']');
  second.body.write(' and on');
  second.body.end(']');
  const all = await text(socket);
  const bodies = all.split(/HTTP\/1\.1 200 OK\r\n/).slice(1);
  expect(bodies[0]).toMatch(/\r\n\r\n6\r\n\[first\r\n8\r\n goes on\r\n1\r\n\]\r\n0\r\n\r\n$/);
  expect(bodies[1]).toMatch(/\r\n\r\n7\r\n\[second\r\n8\r\n goes on\r\n7\r\n and on\r\n1\r\n\]\r\n0\r\n\r\n$/);
});

test('a client that does not read is told of, and so is one that goes on reading', async () => {
  const { port, opened } = await server();
  const socket = connect(port, GET);
  socket.pause();
  await expect.poll(() => opened.length, PATIENT).toBe(1);
  const { response, body } = opened[0] as Opened;
  let drained = 0;
  response.on('drain', () => drained++);
  expect(body.write('first')).toBe(true);
  // Until neither kernel nor socket take more.
  while (body.write('x'.repeat(10_000)));
  expect(body.write('y')).toBe(false);
  expect(drained).toBe(0);
  socket.resume();
  await expect.poll(() => drained, PATIENT).toBe(1);
  expect(body.write('z')).toBe(true);
});

test('a client that left is no error', async () => {
  const { port, opened } = await server();
  const socket = connect(port, GET);
  await expect.poll(() => opened.length, PATIENT).toBe(1);
  const { response, body } = opened[0] as Opened;
  body.write('a');
  socket.destroy();
  await once(response, 'close');
  expect(body.write('b')).toBe(false);
  body.end('c');
});

test('HTTP/1.0 knows no chunks', async () => {
  const { port, opened } = await server();
  const socket = connect(port, 'GET / HTTP/1.0\r\n\r\n');
  await expect.poll(() => opened.length, PATIENT).toBe(1);
  const { body } = opened[0] as Opened;
  body.write('one ');
  body.end('two');
  expect(await text(socket)).toMatch(/\r\n\r\none two$/);
});
