import http2 from 'node:http2';
import net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { stretched } from '../../../test/harness/patience.ts';
import { eventually, startTestListener } from './listener.fixture.ts';
import type { Listener } from './listener.ts';

const PATH = '/mesh.router.v1.RouterService/Generate';
const HEADERS = { authorization: 'Bearer good-key', 'content-type': 'application/connect+json' };
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function floodRequest(): Buffer {
  const message = JSON.stringify({ prompt: { text: 'flood' } });
  return Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), Buffer.from(message)]);
}

/** Clients that ask for an endless stream, read its first bytes and then nothing more, with the connection open. */
const STALLERS: Record<string, (listener: Listener) => Promise<void>> = {
  async 'HTTP/1.1'(listener) {
    const socket = net.connect(listener.port, '127.0.0.1');
    cleanups.push(() => socket.destroy());
    socket.on('error', () => {});
    const body = floodRequest();
    const headers = Object.entries({ ...HEADERS, host: 'a', 'content-length': body.length });
    socket.write(`POST ${PATH} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
    socket.write(body);
    await new Promise((resolve) => socket.once('readable', resolve));
  },
  async 'HTTP/2, a stream that is not read'(listener) {
    const session = http2.connect(listener.url);
    cleanups.push(() => session.destroy());
    session.on('error', () => {});
    const stream = session.request({ ':method': 'POST', ':path': PATH, ...HEADERS });
    stream.on('error', () => {});
    stream.end(floodRequest());
    await new Promise((resolve) => stream.once('response', resolve));
  },
  async 'HTTP/2, a connection that is not read'(listener) {
    let forwarded = 0;
    const proxy = net.createServer((client) => {
      const server = net.connect(listener.port, '127.0.0.1');
      cleanups.push(() => server.destroy());
      client.pipe(server);
      server.on('data', (chunk) => {
        forwarded += chunk.length;
        client.write(chunk);
        if (forwarded > 200_000) server.pause();
      });
      client.on('error', () => {});
      server.on('error', () => {});
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => proxy.close());
    const address = proxy.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const session = http2.connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 2 ** 30 } });
    session.on('connect', () => session.setLocalWindowSize(2 ** 30));
    cleanups.push(() => session.destroy());
    session.on('error', () => {});
    const stream = session.request({ ':method': 'POST', ':path': PATH, ...HEADERS });
    stream.on('error', () => {});
    stream.on('data', () => {});
    stream.end(floodRequest());
    await eventually(() => forwarded > 200_000, 'the stream flows');
  },
};

describe.each(Object.entries(STALLERS))('%s', (_name, stall) => {
  test('the generation of a client that does not read is aborted', async () => {
    const { listener, seen } = await startTestListener({ idleWriteMs: 400 });
    cleanups.push(() => listener.close());
    await stall(listener);
    await eventually(() => seen.calls[0]?.signal.aborted === true, 'the signal aborts', stretched(3_000));
    expect(seen.calls[0]?.signal.reason).toMatchObject({ reason: 'CLIENT_STALLED' });
  });

  test('without the watch nothing would: it runs on, paused, and a shutdown still ends it', async () => {
    const { listener, seen } = await startTestListener({ idleWriteMs: 3_600_000 });
    cleanups.push(() => listener.close());
    await stall(listener);
    // The kernel's buffers fill in steps: it is stalled for good when nothing has moved for a while.
    let events = -1;
    await eventually(
      async () => {
        const isStill = seen.calls[0]?.flow.paused === true && seen.events === events;
        events = seen.events;
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        return isStill && seen.events === events;
      },
      'the reader is waited for',
      20_000,
    );
    expect(seen.calls[0]?.signal.aborted).toBe(false);
    const startedAt = performance.now();
    await listener.close();
    expect(performance.now() - startedAt).toBeLessThan(stretched(2_500));
    expect(seen.calls[0]?.signal.reason).toMatchObject({ reason: 'SHUTTING_DOWN' });
  });
});

test('a slow reader that does read is left alone', async () => {
  // Reader and watch share this process: what holds up one holds up the other, for less than a second.
  const idleWriteMs = 1_500;
  const { listener, seen } = await startTestListener({ idleWriteMs });
  cleanups.push(() => listener.close());
  const session = http2.connect(listener.url);
  cleanups.push(() => session.destroy());
  const stream = session.request({ ':method': 'POST', ':path': PATH, ...HEADERS });
  stream.on('error', () => {});
  stream.end(floodRequest());
  let bytes = 0;
  const readUntil = performance.now() + 2 * idleWriteMs;
  while (performance.now() < readUntil) {
    for (let chunk: Buffer | null = stream.read(); chunk; chunk = stream.read()) bytes += chunk.length;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  expect(bytes).toBeGreaterThan(500_000);
  expect(seen.calls[0]?.signal.aborted).toBe(false);
});
