import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { createClient } from '@connectrpc/connect';
import { expect, onTestFinished, test } from 'vitest';
import { Health } from '../../../gen/grpc/health/v1/health_pb.ts';
import { startTestListener } from './listener.fixture.ts';
import { createRemoteTransport } from './remote-transport.ts';

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
  await listener.peersGone(1);
  expect(await next).toMatchObject({ status: 1 });
  // Nobody else listens any more, and its error comes just before its end.
  expect(session?.listenerCount('error')).toBeGreaterThan(0);
  await closed;
  expect(sessions.size).toBe(2);
});
