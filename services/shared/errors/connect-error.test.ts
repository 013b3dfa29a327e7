import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { expect, test } from 'vitest';
import { ErrorReason } from '../../../gen/mesh/errors/v1/error_reason_pb.ts';
import { LimitStateSchema } from '../../../gen/mesh/quota/v1/limit_pb.ts';
import { fromConnectError, toConnectError } from './connect-error.ts';
import { MeshError } from './mesh-error.ts';
import { CODE_OF_REASON } from './reasons.ts';

test('every reason of the contract has a code', () => {
  const reasons = Object.keys(ErrorReason).filter((name) => name !== 'UNSPECIFIED');
  expect(Object.keys(CODE_OF_REASON).sort()).toEqual(reasons.sort());
});

test('reason, metadata, wait and limits survive the way out and in', () => {
  const sent = new MeshError('RATE_LIMIT_EXCEEDED', 'Slow down.', {
    metadata: { limit: 'tier:free:requests:minute' },
    retryAfterMs: 1500,
    limits: [create(LimitStateSchema, { limit: { id: 'tier:free:requests:minute', maximum: 10n } })],
  });
  const wire = toConnectError(sent);
  // As a remote caller sees it: the cause does not travel.
  const received = new ConnectError(wire.rawMessage, wire.code, undefined, wire.details as never);
  const error = fromConnectError(received);
  expect(error).toMatchObject({
    reason: sent.reason,
    message: 'Slow down.',
    retryAfterMs: 1500,
    metadata: sent.metadata,
  });
  expect(error.limits[0]?.limit?.maximum).toBe(10n);
});

test('a foreign error tells nothing about itself', () => {
  const wire = toConnectError(new Error('password=hunter2 at /etc/secret'));
  expect(wire.code).toBe(Code.Internal);
  expect(wire.message).not.toContain('hunter2');
  expect(fromConnectError(wire).reason).toBe('INTERNAL');
});

test('a lost connection to a peer is PEER_UNAVAILABLE and does not tell its address', () => {
  const lost = new ConnectError('connect ECONNREFUSED 10.0.0.7:7003', Code.Unavailable);
  expect(fromConnectError(lost).reason).toBe('PEER_UNAVAILABLE');
  expect(fromConnectError(lost).message).not.toContain('10.0.0.7');
  expect(toConnectError(lost).message).not.toContain('10.0.0.7');
  expect(fromConnectError(toConnectError(lost)).reason).toBe('PEER_UNAVAILABLE');
});
