import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { create, type DescMethod, fromBinary, toBinary } from '@bufbuild/protobuf';
import { timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { createContextKey, decodeBinaryHeader, encodeBinaryHeader } from '@connectrpc/connect';
import {
  type OnBehalfOf,
  OnBehalfOfSchema,
  type Principal,
  PrincipalSchema,
  SignedOnBehalfOfSchema,
} from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { MeshError } from '../errors/mesh-error.ts';
import { methodName } from './access.ts';

/** A caller whom a process of the mesh vouches for: it verified the credential before and does not hold it. */
export interface Vouched {
  readonly principal: Principal;
  /** Leaves limits on requests alone: the request was counted when it was submitted. */
  readonly requestAlreadyCounted: boolean;
}

/** A call for such a caller. */
export interface VouchedCall extends Vouched {
  /** The caller's real address. Unset: unknown. */
  readonly clientIp: string | undefined;
}

/** Where the gate leaves whom a peer acts for. Unset: nobody, or the call carries a credential. */
export const vouchedKey = createContextKey<VouchedCall | undefined>(undefined, {
  description: 'the caller whom a process of the mesh vouches for',
});

/** Acting for callers, by the secret of the mesh. */
export interface Vouching {
  /** The header of one call, for `mesh-on-behalf-of-bin`; see SignedOnBehalfOf. */
  sign(method: DescMethod, call: VouchedCall): string;
  /**
   * Whom a header of a call stands for.
   *
   * @throws MeshError PEER_ONLY: malformed, signed with another secret, for another method, or too old.
   */
  verify(method: DescMethod, header: string): VouchedCall;
}

/** How long a signature holds, in milliseconds: for one call, between hosts whose clocks differ a little. */
const LIFE_MS = 60_000;

/** How far ahead the clock of the host that signs may be, in milliseconds. */
const MAX_AHEAD_MS = 30_000;

/** Keeps this use of the mesh token apart from every other. */
const KEY_INFO = 'inference-mesh on-behalf-of v1';

/** Makes both sides of it; `now` in milliseconds since the epoch. */
export function createVouching(meshToken: string, now: () => number): Vouching {
  const key = Buffer.from(hkdfSync('sha256', meshToken, '', KEY_INFO, 32));
  const signatureOf = (message: Uint8Array): Buffer => createHmac('sha256', key).update(message).digest();

  return {
    sign(method, { principal, requestAlreadyCounted, clientIp = '' }) {
      const issuedAtMs = now();
      const message = create(OnBehalfOfSchema, {
        principal: identityOf(principal),
        requestAlreadyCounted,
        clientIp,
        method: methodName(method),
        issuedAt: timestampFromMs(issuedAtMs),
        expiresAt: timestampFromMs(issuedAtMs + LIFE_MS),
      });
      const onBehalfOf = toBinary(OnBehalfOfSchema, message);
      return encodeBinaryHeader(
        create(SignedOnBehalfOfSchema, { onBehalfOf, signature: signatureOf(onBehalfOf) }),
        SignedOnBehalfOfSchema,
      );
    },
    verify(method, header) {
      const message = open(header, signatureOf);
      if (message.method !== methodName(method)) throw notVouched('is for another method');
      requireFresh(message, now());
      if (!message.principal) throw notVouched('names nobody');
      const { principal, requestAlreadyCounted, clientIp } = message;
      return { principal, requestAlreadyCounted, clientIp: clientIp || undefined };
    },
  };
}

/** What says who a caller is. The rest is looked up again, and a long list of models fits in no header. */
export function identityOf(principal: Principal): Principal {
  const { kind, keyId, secretId, userId, loginId, signingKeyId, expiresAt } = principal;
  const identity = { kind, keyId, secretId, userId, loginId, signingKeyId };
  return create(PrincipalSchema, { ...identity, ...(expiresAt ? { expiresAt } : {}) });
}

function open(header: string, signatureOf: (message: Uint8Array) => Buffer): OnBehalfOf {
  try {
    const { onBehalfOf, signature } = decodeBinaryHeader(header, SignedOnBehalfOfSchema);
    const expected = signatureOf(onBehalfOf);
    if (signature.length === expected.length && timingSafeEqual(signature, expected)) {
      return fromBinary(OnBehalfOfSchema, onBehalfOf);
    }
  } catch {
    // What cannot be decoded was signed by nobody.
  }
  throw notVouched('is not signed with the mesh token of this process');
}

function requireFresh({ issuedAt, expiresAt }: OnBehalfOf, nowMs: number): void {
  const issuedAtMs = issuedAt ? timestampMs(issuedAt) : 0;
  const endsAtMs = Math.min(issuedAtMs + LIFE_MS, expiresAt ? timestampMs(expiresAt) : 0);
  if (nowMs >= endsAtMs) throw notVouched('is too old, or the clocks of the hosts differ');
  if (issuedAtMs > nowMs + MAX_AHEAD_MS) throw notVouched('is from the future: the clocks of the hosts differ');
}

function notVouched(why: string): MeshError {
  return new MeshError('PEER_ONLY', `mesh-on-behalf-of-bin ${why}.`);
}
