import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { durationMs } from '@bufbuild/protobuf/wkt';
import type { Client } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { AuthenticateRequest, AuthService } from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import { PrincipalSchema } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { MeshError } from '../errors/mesh-error.ts';
import type { Authenticate } from './authorize.ts';
import { identityOf } from './on-behalf-of.ts';
import type { Revalidate } from './on-behalf-of-gate.ts';
import { type Authenticated, createPrincipalCache } from './principal-cache.ts';
import type { Revocation } from './revocation.ts';
import { watchRevocations } from './revocation-watch.ts';

/** How long auth has to answer, in milliseconds; its store gives up long before. */
const AUTHENTICATE_MS = 2_000;

/** What callers are verified with. */
export interface PrincipalsOptions {
  /** Auth, wherever it runs. */
  readonly auth: () => Client<typeof AuthService>;
  /** Whether only this machine reaches the port of this process: elsewhere keys that can be guessed are refused. */
  readonly boundToLoopback: boolean;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Logger;
}

/** The callers of a process, verified by auth and remembered. */
export interface Principals {
  readonly authenticate: Authenticate;
  /** For callers whom a process of the mesh vouches for: remembered in the same way, and forgotten. */
  readonly revalidate: Revalidate;
  /**
   * Forgets at once what is revoked, until the returned function is called; without a watch callers are remembered for 5 s
   * at most. `cut` is told of what shall also end running streams.
   */
  watch(cut: (revocation: Revocation) => void): () => void;
}

/** Asks auth who somebody is, and remembers it. */
export function createPrincipals({ auth, boundToLoopback, now, log }: PrincipalsOptions): Principals {
  async function ask(
    who: Partial<Pick<AuthenticateRequest, 'credential' | 'principal'>>,
    clientIp = '',
  ): Promise<Authenticated> {
    const request = { ...who, clientIp, boundToLoopback };
    const { principal, cacheFor } = await auth().authenticate(request, { timeoutMs: AUTHENTICATE_MS });
    if (!principal) throw new MeshError('CREDENTIAL_INVALID', 'Invalid API key');
    return { principal, cacheForMs: cacheFor ? durationMs(cacheFor) : 0 };
  }

  const presented = createPrincipalCache({
    now,
    authenticate: (credential, clientIp) => ask({ credential }, clientIp),
  });
  const vouchedFor = createPrincipalCache({
    now,
    authenticate: (encoded, clientIp) =>
      ask({ principal: fromBinary(PrincipalSchema, Buffer.from(encoded, 'base64')) }, clientIp),
  });
  return {
    authenticate: presented.authenticate,
    revalidate(principal, clientIp) {
      const encoded = Buffer.from(toBinary(PrincipalSchema, identityOf(principal))).toString('base64');
      return vouchedFor.authenticate(encoded, clientIp);
    },
    watch: (cut) =>
      watchRevocations({
        auth: auth(),
        onWatched(isWatched) {
          for (const cache of [presented, vouchedFor]) cache.setWatched(isWatched);
        },
        onRevoked(revocation) {
          for (const cache of [presented, vouchedFor]) cache.forget(revocation);
          if (revocation.cutRunningStreams) cut(revocation);
        },
        log,
      }),
  };
}
