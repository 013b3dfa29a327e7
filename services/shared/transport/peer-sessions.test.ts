import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import net from 'node:net';
import { pipeline } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from '@connectrpc/connect';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Health } from '../../../gen/grpc/health/v1/health_pb.ts';
import { startTestListener } from './listener.fixture.ts';
import { createRemoteTransport } from './remote-transport.ts';

const MINUTE_MS = 60_000;

const FAREWELL = { stopMs: 10, returnMs: 500, againMs: 700 };

/** A peer that has called once and may call again, over a connection that is old enough to come back. */
async function startPeer(url: string) {
  const transport = createRemoteTransport(url, { meshToken: undefined, comesBack: true });
  onTestFinished(() => transport.close());
  const peer = createClient(Health, transport);
  expect(await peer.check({})).toMatchObject({ status: 1 });
  await delay(1_100);
  return { peer, close: () => transport.close() };
}

async function startKeeper() {
  const { listener, health } = await startTestListener({ isForPeers: true });
  onTestFinished(() => listener.close());
  health.set('', true);
  return listener;
}

test('who has no other process is waited for until it goes, though it asks nothing', async () => {
  const listener = await startKeeper();
  const { peer, close } = await startPeer(listener.url);
  const gone = vi.fn();
  const isAlone = listener.peersGone(MINUTE_MS, FAREWELL).finally(gone);
  // Longer than peers take to be sent away and to be back.
  await delay(3 * (FAREWELL.returnMs + FAREWELL.againMs));
  expect(gone).not.toHaveBeenCalled();
  expect(await peer.check({})).toMatchObject({ status: 1 });
  close();
  expect(await isAlone).toBe(true);
});

test('who had come just before it was sent away is waited for too: all processes of a role may stop at once', async () => {
  const listener = await startKeeper();
  const transport = createRemoteTransport(listener.url, { meshToken: undefined, comesBack: true });
  onTestFinished(() => transport.close());
  expect(await createClient(Health, transport).check({})).toMatchObject({ status: 1 });
  const gone = vi.fn();
  const isAlone = listener.peersGone(MINUTE_MS, { ...FAREWELL, returnMs: 2_000 }).finally(gone);
  await delay(2_400);
  expect(gone).not.toHaveBeenCalled();
  transport.close();
  expect(await isAlone).toBe(true);
});

test('who finds another process is not waited for, and none of its calls fails', async () => {
  const [leaving, staying] = [await startKeeper(), await startKeeper()];
  let next = leaving;
  const balancer = net.createServer((client) => {
    const upstream = net.connect(next.port, next.host);
    pipeline(client, upstream, client, () => {});
  });
  onTestFinished(() => void balancer.close());
  await new Promise<void>((resolve) => balancer.listen(0, '127.0.0.1', resolve));
  const { peer } = await startPeer(`http://127.0.0.1:${(balancer.address() as net.AddressInfo).port}`);
  // Hears late that a process leaves.
  let isAlone: boolean | undefined;
  const gone = leaving.peersGone(MINUTE_MS, FAREWELL).then((alone) => {
    isAlone = alone;
  });
  const hearsAtMs = performance.now() + FAREWELL.returnMs;
  while (isAlone === undefined) {
    expect(await peer.check({})).toMatchObject({ status: 1 });
    if (performance.now() > hearsAtMs) next = staying;
    await delay(10);
  }
  await gone;
  expect(isAlone).toBe(true);
  await leaving.close();
  expect(await peer.check({})).toMatchObject({ status: 1 });
});

test('a call that begins as its connection is told to leave is made on the next one, and the process goes on', async () => {
  const { listener, health } = await startTestListener({ isForPeers: true });
  onTestFinished(() => listener.close());
  health.set('', true);
  const sessions = new Set<ClientHttp2Session>();
  const note = (message: unknown) => {
    const { session } = (message as { stream: ClientHttp2Stream }).stream;
    if (session) sessions.add(session as ClientHttp2Session);
  };
  subscribe('http2.client.stream.created', note);
  onTestFinished(() => void unsubscribe('http2.client.stream.created', note));
  const transport = createRemoteTransport(listener.url, { meshToken: undefined });
  onTestFinished(() => transport.close());
  const peer = createClient(Health, transport);
  await peer.check({});
  const [session] = sessions;
  const { promise: next, resolve } = Promise.withResolvers<unknown>();
  const closed = new Promise((done) => session?.once('close', done));
  // After the manager, which listens longer.
  session?.once('goaway', () => resolve(peer.check({})));
  await listener.peersGone(50, FAREWELL);
  expect(await next).toMatchObject({ status: 1 });
  // Nobody else listens any more, and its error comes just before its end.
  expect(session?.listenerCount('error')).toBeGreaterThan(0);
  await closed;
  expect(sessions.size).toBe(2);
});
