import { CredentialKind, type Principal } from '../../../gen/mesh/auth/v1/principal_pb.ts';

/** What no longer counts. */
export type Revocation = {
  readonly kind: 'key' | 'user' | 'signing-key';
  /** The id of a key or a token, the name of a user with all keys and tokens, or the id of a signing key. */
  readonly id: string;
  /** Also ends the streams that run with it. */
  readonly cutRunningStreams: boolean;
};

/**
 * Whether a revocation may be about a caller. Where auth has not told which key signed a token, the end of any concerns it:
 * what still counts is verified again.
 */
export function concerns({ kind, id }: Revocation, principal: Principal): boolean {
  switch (kind) {
    case 'key':
      return principal.keyId === id;
    case 'user':
      return principal.userId === id;
    case 'signing-key':
      return principal.kind === CredentialKind.ACCESS_TOKEN && ['', id].includes(principal.signingKeyId);
  }
}
