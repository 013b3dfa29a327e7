import { once } from 'node:events';
import http2, { type Http2ServerResponse } from 'node:http2';
import net from 'node:net';
import { afterAll, expect, test } from 'vitest';
import { startTestListener } from './listener.fixture.ts';

const IDLE_MS = 200;
const running: Http2ServerResponse[] = [];
const { listener } = await startTestListener({
  idleSessionMs: IDLE_MS,
  fallback: (_request, response) => {
    if (!('stream' in response)) return;
    response.write('begun');
    running.push(response);
  },
});
afterAll(() => listener.close());

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const SETTINGS = Buffer.from('000000040000000000', 'hex');
/** A frame HEADERS of which most does not come. */
const BEGUN = Buffer.from('0000400105000000018286', 'hex');

/** Passes when somebody else is ended who came now. */
async function idleTime(): Promise<void> {
  const other = net.connect(listener.port, '127.0.0.1').resume();
  other.write(PREFACE);
  await once(other, 'close');
}

test.each([
  ['nothing', PREFACE],
  ['nothing after its settings', Buffer.concat([PREFACE, SETTINGS])],
  ['a part of a frame', Buffer.concat([PREFACE, SETTINGS, BEGUN])],
])('a connection of HTTP/2 that says %s is ended', async (_name, bytes) => {
  const socket = net.connect(listener.port, '127.0.0.1').resume();
  socket.write(bytes);
  await once(socket, 'close');
});

test('one on which something runs is ended when that is over and silence follows', async () => {
  const session = http2.connect(listener.url);
  const stream = session.request({ ':path': '/' });
  await once(stream, 'data');
  await idleTime();
  await idleTime();
  expect([session.destroyed, stream.destroyed]).toEqual([false, false]);
  for (const response of running) response.end('over');
  let text = '';
  stream.on('data', (chunk) => {
    text += chunk;
  });
  await once(session, 'close');
  expect([text, stream.rstCode]).toEqual(['over', 0]);
});

test('one whose client resets its streams, too', async () => {
  const session = http2.connect(listener.url);
  const stream = session.request({ ':path': '/' });
  await once(stream, 'data');
  await idleTime();
  stream.close(http2.constants.NGHTTP2_CANCEL);
  await once(session, 'close');
});
