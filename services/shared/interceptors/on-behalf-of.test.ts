import { createHmac, hkdfSync } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { decodeBinaryHeader, encodeBinaryHeader } from '@connectrpc/connect';
import { beforeEach, expect, test } from 'vitest';
import {
  CredentialKind,
  OnBehalfOfSchema,
  PrincipalSchema,
  Scope,
  SignedOnBehalfOfSchema,
} from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { MeshError } from '../errors/mesh-error.ts';
import { createVouching, type Vouching } from './on-behalf-of.ts';

const START_MS = Date.parse('2026-11-21T12:00:00Z');
const { generate, tokenize } = RouterService.method;
const SECRET = 'a mesh token of some length';

const principal = create(PrincipalSchema, {
  ...{ kind: CredentialKind.ACCESS_TOKEN, keyId: 'jti', userId: 'ann', loginId: 'login', signingKeyId: 'kid' },
  ...{ organizationId: 'acme', tier: 'unlimited', scopes: [Scope.ADMIN], models: ['chat'] },
  expiresAt: timestampFromMs(START_MS + 3_600_000),
});
const call = { principal, requestAlreadyCounted: true, clientIp: '198.51.100.7' };

let nowMs: number;
let vouching: Vouching;

beforeEach(() => {
  nowMs = START_MS;
  vouching = createVouching(SECRET, () => nowMs);
});

/** What a header is refused with; "OK" when it is not. */
function outcomeOf(header: string, method = generate, by = vouching): string {
  try {
    by.verify(method, header);
    return 'OK';
  } catch (error) {
    return error instanceof MeshError ? `${error.reason} ${error.message}` : String(error);
  }
}

test('what one process signs, another one of the mesh reads: who it is, and nothing of what it may do', () => {
  const read = createVouching(SECRET, () => nowMs).verify(generate, vouching.sign(generate, call));
  expect(read).toMatchObject({ requestAlreadyCounted: true, clientIp: '198.51.100.7' });
  expect(read.principal).toMatchObject({
    ...{ kind: CredentialKind.ACCESS_TOKEN, keyId: 'jti', userId: 'ann', loginId: 'login', signingKeyId: 'kid' },
    expiresAt: principal.expiresAt,
    ...{ organizationId: '', tier: '', scopes: [], models: [] },
  });
  expect(vouching.verify(generate, vouching.sign(generate, { ...call, clientIp: undefined })).clientIp).toBeUndefined();
});

test('it holds for one method', () => {
  expect(outcomeOf(vouching.sign(generate, call), tokenize as never)).toBe(
    'PEER_ONLY mesh-on-behalf-of-bin is for another method.',
  );
});

test('it holds for 60 s, and not before a clock that is 30 s ahead', () => {
  const header = vouching.sign(generate, call);
  for (const [offsetMs, outcome] of [
    [59_999, 'OK'],
    [60_000, 'PEER_ONLY mesh-on-behalf-of-bin is too old, or the clocks of the hosts differ.'],
    [-30_000, 'OK'],
    [-30_001, 'PEER_ONLY mesh-on-behalf-of-bin is from the future: the clocks of the hosts differ.'],
  ] as const) {
    nowMs = START_MS + offsetMs;
    expect(outcomeOf(header), String(offsetMs)).toBe(outcome);
  }
});

/** Signed as the contract says, with whatever fields. */
function signed(fields: object): string {
  const onBehalfOf = toBinary(OnBehalfOfSchema, create(OnBehalfOfSchema, { principal, ...fields }));
  const key = Buffer.from(hkdfSync('sha256', SECRET, '', 'inference-mesh on-behalf-of v1', 32));
  const signature = createHmac('sha256', key).update(onBehalfOf).digest();
  return encodeBinaryHeader(create(SignedOnBehalfOfSchema, { onBehalfOf, signature }), SignedOnBehalfOfSchema);
}

test('nobody gives himself more than 60 s, or leaves out what is checked', () => {
  const method = 'mesh.router.v1.RouterService/Generate';
  const issuedAt = timestampFromMs(START_MS);
  const expiresAt = timestampFromMs(START_MS + 86_400_000);
  expect(outcomeOf(signed({ method, issuedAt, expiresAt }))).toBe('OK');
  expect(outcomeOf(signed({ method, issuedAt }))).toContain('is too old');
  expect(outcomeOf(signed({ method, expiresAt }))).toContain('is too old');
  expect(outcomeOf(signed({ issuedAt, expiresAt }))).toContain('is for another method');
  expect(outcomeOf(signed({ method, issuedAt, expiresAt, principal: undefined }))).toContain('names nobody');
  nowMs += 60_000;
  expect(outcomeOf(signed({ method, issuedAt, expiresAt }))).toContain('is too old');
});

function changedAt(bytes: Uint8Array, index: number): Uint8Array {
  const changed = Uint8Array.from(bytes);
  changed[index] = (changed[index] ?? 0) ^ 1;
  return changed;
}

test('another secret, a changed byte, no signature and nonsense are refused alike', () => {
  const good = vouching.sign(generate, call);
  const { onBehalfOf, signature } = decodeBinaryHeader(good, SignedOnBehalfOfSchema);
  const refused = 'PEER_ONLY mesh-on-behalf-of-bin is not signed with the mesh token of this process.';
  const sealed = (fields: { onBehalfOf: Uint8Array; signature?: Uint8Array }): string =>
    encodeBinaryHeader(create(SignedOnBehalfOfSchema, fields), SignedOnBehalfOfSchema);
  expect(outcomeOf(sealed({ onBehalfOf, signature }))).toBe('OK');
  for (const index of onBehalfOf.keys()) {
    expect(outcomeOf(sealed({ onBehalfOf: changedAt(onBehalfOf, index), signature })), `byte ${index}`).toBe(refused);
  }
  for (const index of signature.keys()) {
    expect(outcomeOf(sealed({ onBehalfOf, signature: changedAt(signature, index) })), `byte ${index}`).toBe(refused);
  }
  const message = create(OnBehalfOfSchema, { principal, method: 'mesh.router.v1.RouterService/Generate' });
  for (const header of [
    createVouching('another token', () => nowMs).sign(generate, call),
    sealed({ onBehalfOf }),
    sealed({ onBehalfOf, signature: signature.subarray(1) }),
    encodeBinaryHeader(message, OnBehalfOfSchema),
    // Two headers arrive as one.
    `${good}, ${good}`,
    ...['', '!', 'AAAA', good.slice(0, -4)],
  ]) {
    expect(outcomeOf(header), header).toBe(refused);
  }
});
