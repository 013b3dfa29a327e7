import { create } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { CredentialKind, type Principal, PrincipalSchema } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { type Authenticated, answerOf, CACHE_MS, invalidCredential, isUsable } from './authenticate.ts';
import { endOfNamedSecret } from './secret-end.ts';
import type { KeyStore } from './store/key-store.ts';
import type { UserStore } from './store/user-store.ts';
import type { TokenService } from './token-service.ts';

/** What it is found out with whether a caller still counts. */
export interface RevalidatorParts {
  /** Keys of the configuration and of the environment. */
  readonly configured: Iterable<Principal>;
  readonly keys: Pick<KeyStore, 'find'>;
  readonly users: Pick<UserStore, 'disabledAtMs'>;
  readonly tokens: Pick<TokenService, 'userOfLogin'>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/**
 * Tells whether somebody who presented a credential before still counts, and what the caller may do now. Only who it is is
 * taken from the principal, and when that ends; `clientIp` empty: unknown.
 *
 * @throws MeshError CREDENTIAL_INVALID, STORE_UNAVAILABLE.
 */
export type RevalidatePrincipal = (principal: Principal, clientIp: string) => Promise<Authenticated>;

/** Builds it. */
export function createRevalidator({ keys, users, tokens, now, ...parts }: RevalidatorParts): RevalidatePrincipal {
  const configured = new Map([...parts.configured].map((principal) => [principal.keyId, principal]));

  async function ofConfiguration(known: Principal, userId: string): Promise<Authenticated> {
    if (known.userId !== userId) throw invalidCredential();
    if (userId && (await users.disabledAtMs(userId)) !== undefined) throw invalidCredential();
    return { principal: known, cacheForMs: CACHE_MS };
  }

  async function ofKey({ keyId, userId, secretId, expiresAt }: Principal, clientIp: string): Promise<Authenticated> {
    const known = configured.get(keyId);
    if (known) return await ofConfiguration(known, userId);
    const record = await keys.find(keyId);
    const secretEndsAtMs = record && endOfNamedSecret(record, secretId);
    if (secretEndsAtMs === undefined || record?.userId !== userId) throw invalidCredential();
    const endsAtMs = Math.min(secretEndsAtMs, endOf(expiresAt));
    if (!isUsable(record, clientIp, endsAtMs, now())) throw invalidCredential();
    return answerOf({ record, secretId, endsAtMs }, now());
  }

  async function ofToken(principal: Principal): Promise<Authenticated> {
    const { kind, keyId, userId, loginId, signingKeyId, expiresAt } = principal;
    const user = await tokens.userOfLogin({ familyId: loginId, signingKeyId });
    const leftMs = endOf(expiresAt) - now();
    if (user?.userId !== userId || leftMs <= 0) throw invalidCredential();
    const { organizationId, tier, scopes, models = [] } = user;
    const rights = { organizationId, tier, scopes: [...scopes], models: [...models] };
    const still = { kind, keyId, userId, loginId, signingKeyId, ...(expiresAt ? { expiresAt } : {}) };
    return { principal: create(PrincipalSchema, { ...still, ...rights }), cacheForMs: Math.min(CACHE_MS, leftMs) };
  }

  return async (principal, clientIp) => {
    switch (principal.kind) {
      case CredentialKind.API_KEY:
        return await ofKey(principal, clientIp);
      case CredentialKind.ACCESS_TOKEN:
        return await ofToken(principal);
      default:
        throw invalidCredential();
    }
  };
}

function endOf(expiresAt: Principal['expiresAt']): number {
  return expiresAt ? timestampMs(expiresAt) : Number.POSITIVE_INFINITY;
}
