import type { HandlerContext } from '@connectrpc/connect';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { WatchRevocationsResponse } from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import { createLocalRevocations, type Revocation, type Revocations } from '../revocations.ts';
import { watchRevocations } from './watch-revocations.ts';

let revocations: Revocations;
let leaving: AbortController;
beforeEach(() => {
  revocations = createLocalRevocations();
  leaving = new AbortController();
});
afterEach(() => leaving.abort());

function watch(): AsyncIterator<WatchRevocationsResponse> {
  const call = { signal: leaving.signal } as HandlerContext;
  const messages = watchRevocations({ revocations })({ $typeName: 'mesh.auth.v1.WatchRevocationsRequest' }, call);
  return (messages as AsyncIterable<WatchRevocationsResponse>)[Symbol.asyncIterator]();
}

async function next(stream: AsyncIterator<WatchRevocationsResponse>) {
  const { revoked, cutRunningStreams } = (await stream.next()).value as WatchRevocationsResponse;
  return revoked.case === undefined ? 'live' : `${revoked.case} ${revoked.value}${cutRunningStreams ? ' cut' : ''}`;
}

const key = (id: string, cutRunningStreams = false): Revocation => ({ kind: 'key', id, cutRunningStreams });

test('the first message comes at once, and from then on nothing is missed', async () => {
  const stream = watch();
  expect(await next(stream)).toBe('live');
  await revocations.publish(key('k1', true));
  await revocations.publish({ kind: 'user', id: 'ann', cutRunningStreams: false });
  await revocations.publish({ kind: 'signing-key', id: 's1', cutRunningStreams: false });
  expect(await next(stream)).toBe('keyId k1 cut');
  expect(await next(stream)).toBe('userId ann');
  expect(await next(stream)).toBe('signingKeyId s1');
  const waiting = next(stream);
  await revocations.publish(key('k2'));
  expect(await waiting).toBe('keyId k2');
});

test('a stream without news goes on saying that it is live', async () => {
  const stream = watch();
  expect([await next(stream), await next(stream), await next(stream)]).toEqual(['live', 'live', 'live']);
});

test('a subscription that breaks ends the stream, whether it waits or not', async () => {
  const [idle, busy] = [watch(), watch()];
  await Promise.all([next(idle), next(busy)]);
  const waiting = next(idle);
  await revocations.publish(key('k1'));
  expect(await waiting).toBe('keyId k1');
  const ended = next(idle);
  revocations.close();
  await expect(ended).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE' });
  await expect(next(busy)).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE' });
});

test('a reader that is too slow is told that it missed some, and nothing gathers for it', async () => {
  const stream = watch();
  await next(stream);
  for (let i = 0; i < 1_024; i += 1) await revocations.publish(key(`k${i}`));
  expect(await next(stream)).toBe('keyId k0');
  await revocations.publish(key('k1024'));
  expect(await next(stream)).toBe('keyId k1');
  await revocations.publish(key('k1025'));
  await revocations.publish(key('k1026'));
  await expect(next(stream)).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE' });
});

test('a caller who leaves ends it', async () => {
  const stream = watch();
  await next(stream);
  const waiting = next(stream);
  leaving.abort(new Error('gone'));
  await expect(waiting).rejects.toThrow('gone');
  expect((await stream.next()).done).toBe(true);
});
