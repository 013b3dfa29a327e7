import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { expect, test } from 'vitest';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { fromConnectError } from '../errors/connect-error.ts';
import { CLIENT_LIMITS } from './limits.ts';
import { BEARER, startTestListener } from './listener.fixture.ts';

test('a running stream ends when its key is revoked, that of another key goes on', async () => {
  const { listener, seen } = await startTestListener();
  const transport = createGrpcTransport({ baseUrl: listener.url, ...CLIENT_LIMITS });
  const prompt = { input: { case: 'text' as const, value: 'wait' } };
  const stream = createClient(RouterService, transport).generate({ prompt }, { headers: BEARER });
  const iterator = stream[Symbol.asyncIterator]();
  await iterator.next();
  const ended = iterator.next().then(
    () => undefined,
    (reason: unknown) => fromConnectError(reason),
  );
  listener.cut({ kind: 'key', id: 'another', cutRunningStreams: true });
  expect(seen.calls[0]?.signal.aborted).toBe(false);
  listener.cut({ kind: 'key', id: 'k1', cutRunningStreams: true });
  expect(await ended).toMatchObject({ reason: 'CREDENTIAL_INVALID' });
  await listener.close();
});
