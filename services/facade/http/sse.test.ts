import { once } from 'node:events';
import http, { type ServerResponse } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { FlowControl } from '../../shared/transport/flow-control.ts';
import { createSseStream, type SseStream } from './sse.ts';

const PATIENT = { timeout: 60_000 };
const KEEP_ALIVE = ': keep-alive\n\n';

const closings: (() => unknown)[] = [];
afterEach(() => {
  for (const close of closings.splice(0).reverse()) close();
});

interface Answered {
  readonly stream: SseStream;
  readonly response: ServerResponse;
  /** The call that lets the head leave, once the stream has asked for it. */
  open: (() => void) | undefined;
  /** What the client has read. */
  text: string;
}

/** An answer that has begun, and a client that reads it. */
async function answer(keepAliveMs: number): Promise<Answered> {
  const server = http.createServer();
  closings.push(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1').setEncoding('latin1');
  closings.push(() => socket.destroy());
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  const [, response] = (await once(server, 'request')) as [unknown, ServerResponse];
  const stream = createSseStream(response, {
    keepAliveMs,
    flow: new FlowControl(),
    head: () => ({}),
    onSilentStart(open) {
      answered.open = open;
    },
  });
  closings.push(() => stream.stop());
  const answered: Answered = { stream, response, open: undefined, text: '' };
  socket.on('data', (part) => (answered.text += part));
  return answered;
}

test('a token that comes while the limits are looked up opens the stream, and later silences have their comments', async () => {
  const answered = await answer(20);
  await expect.poll(() => answered.open, PATIENT).toBeDefined();
  answered.stream.send('data: 1\n\n');
  await expect.poll(() => answered.text.split(KEEP_ALIVE).length, PATIENT).toBeGreaterThan(2);
});

test('a stream that is open is not told that it may open', async () => {
  const answered = await answer(20);
  await expect.poll(() => answered.open, PATIENT).toBeDefined();
  answered.stream.send('data: 1\n\n');
  const { socket } = answered.response;
  const written = socket?.bytesWritten ?? 0;
  answered.open?.();
  expect(socket?.bytesWritten).toBe(written);
});

test('what is sent and finished in one turn of the event loop leaves whole and in order', async () => {
  const answered = await answer(20);
  answered.stream.send('data: 1\n\n');
  answered.stream.send('data: 2\n\n');
  answered.stream.finish('data: 3\n\n');
  answered.stream.send('data: 4\n\n');
  await expect.poll(() => answered.text, PATIENT).toMatch(/\r\n0\r\n\r\n$/);
  const events = answered.text.match(/data: \d/g);
  expect(events).toEqual(['data: 1', 'data: 2', 'data: 3']);
});
