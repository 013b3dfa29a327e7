import { once } from 'node:events';
import http2 from 'node:http2';
import net, { type AddressInfo, type Socket } from 'node:net';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AuthService, type WatchRevocationsResponse } from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import { toConnectError } from '../errors/connect-error.ts';
import { MeshError } from '../errors/mesh-error.ts';
import { createMeshClient } from '../transport/client.ts';
import { createRemoteTransport } from '../transport/remote-transport.ts';
import type { Revocation } from './revocation.ts';
import { watchRevocations } from './revocation-watch.ts';

type Message = Partial<Pick<WatchRevocationsResponse, 'revoked' | 'cutRunningStreams'>>;

/** An auth process that says what a test tells it to, behind a wire that a test can cut without a word. */
let streams: { send: (message: Message) => void; end: () => void }[];
let wire: { port: number; silence: () => void };
let heard: (Revocation | boolean)[];
const endings: (() => void)[] = [];

beforeEach(async () => {
  streams = [];
  heard = [];
  const server = http2.createServer(
    connectNodeAdapter({
      routes: (router) =>
        router.service(AuthService, {
          async *watchRevocations() {
            const waiting: (Message | undefined)[] = [{}];
            let wake: () => void = () => {};
            const push = (message: Message | undefined): void => {
              waiting.push(message);
              wake();
            };
            const beat = setInterval(() => push({}), 500);
            endings.push(() => clearInterval(beat));
            streams.push({ send: push, end: () => push(undefined) });
            for (;;) {
              while (waiting.length > 0) {
                const message = waiting.shift();
                if (!message) throw toConnectError(new MeshError('STORE_UNAVAILABLE', 'missed'));
                yield message;
              }
              await new Promise<void>((resolve) => {
                wake = resolve;
              });
            }
          },
        }),
    }),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  endings.push(() => server.close());
  wire = await startWire((server.address() as AddressInfo).port);
});
afterEach(() => {
  for (const end of endings.splice(0)) end();
});

/** Passes bytes on until it is told to swallow those of all connections that are open then. */
async function startWire(to: number): Promise<typeof wire> {
  const open = new Set<Socket>();
  const server = net.createServer((near) => {
    const far = net.connect(to, '127.0.0.1');
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(from);
      from.on('data', (data) => open.has(from) && into.write(data));
      from.on('close', () => open.has(from) && into.destroy());
      from.on('error', () => {});
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  endings.push(() => server.close());
  return { port: (server.address() as AddressInfo).port, silence: () => open.clear() };
}

function watch(): void {
  const transport = createRemoteTransport(`http://127.0.0.1:${wire.port}`, { meshToken: 'secret' });
  const close = watchRevocations({
    auth: createMeshClient(AuthService, transport),
    onWatched: (isWatched) => heard.push(isWatched),
    onRevoked: (revocation) => heard.push(revocation),
    log: pino({ level: 'silent' }),
  });
  endings.push(close, () => transport.close());
}

const soon = { timeout: 20_000 };

test('every kind of revocation is heard, in order; an empty message only says that the stream is live', async () => {
  watch();
  await expect.poll(() => heard, soon).toEqual([true]);
  streams[0]?.send({ revoked: { case: 'keyId', value: 'k' }, cutRunningStreams: true });
  streams[0]?.send({});
  streams[0]?.send({ revoked: { case: 'userId', value: 'u' } });
  streams[0]?.send({ revoked: { case: 'signingKeyId', value: 's' } });
  await expect
    .poll(() => heard.slice(1), soon)
    .toEqual([
      { kind: 'key', id: 'k', cutRunningStreams: true },
      { kind: 'user', id: 'u', cutRunningStreams: false },
      { kind: 'signing-key', id: 's', cutRunningStreams: false },
    ]);
});

test('a stream that ends is opened again, and nobody believes that nothing was missed', async () => {
  watch();
  await expect.poll(() => heard, soon).toEqual([true]);
  streams[0]?.end();
  await expect.poll(() => heard, soon).toEqual([true, false, true]);
  expect(streams).toHaveLength(2);
});

test('a stream that is silent is a broken one', { timeout: 40_000 }, async () => {
  watch();
  await expect.poll(() => heard, soon).toEqual([true]);
  wire.silence();
  // HTTP/2's own pings notice it after 15 s.
  await expect.poll(() => heard[1], { timeout: 10_000 }).toBe(false);
});
