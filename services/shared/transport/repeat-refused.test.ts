import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { createClient } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { expect, onTestFinished, test } from 'vitest';
import { Health } from '../../../gen/grpc/health/v1/health_pb.ts';
import { fromConnectError } from '../errors/connect-error.ts';
import { createRemoteTransport } from './remote-transport.ts';

/** A server that refuses so many calls as one does whose connection leaves; counts all. */
async function start(refusals: number) {
  const answer = connectNodeAdapter({ routes: (router) => router.service(Health, { check: () => ({ status: 1 }) }) });
  let calls = 0;
  const server = http2.createServer((request, response) => {
    calls += 1;
    if (calls <= refusals) request.stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
    else answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const transport = createRemoteTransport(url, { meshToken: undefined });
  onTestFinished(() => {
    transport.close();
    server.close();
  });
  return { peer: createClient(Health, transport), calls: () => calls };
}

test('a call that a leaving connection refused is made again', async () => {
  const { peer, calls } = await start(2);
  expect(await peer.check({})).toMatchObject({ status: 1 });
  expect(calls()).toBe(3);
});

test('not for ever, and then it is as if nobody were there', async () => {
  const { peer, calls } = await start(10);
  const failure = await peer.check({}).catch((error: unknown) => fromConnectError(error));
  expect(failure).toMatchObject({ reason: 'PEER_UNAVAILABLE' });
  expect(calls()).toBe(3);
});
