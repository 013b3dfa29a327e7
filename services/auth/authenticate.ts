import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { Logger } from 'pino';
import { CredentialKind, type Principal, PrincipalSchema } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { type AccessToken, canBeValid, hasTokenForm } from './access-token.ts';
import { hashKey, importedKeyId, parseKey } from './api-key.ts';
import { createFailedCredentials } from './failed-credentials.ts';
import { isInRanges } from './ip-ranges.ts';
import { endOfSecret, secretIdOf } from './secret-end.ts';
import type { FoundKey, KeyRecord, KeyStore } from './store/key-store.ts';
import type { UserStore } from './store/user-store.ts';
import type { TokenService } from './token-service.ts';
import { createWeakKeyRefusal } from './weak-key-refusal.ts';

/** What a check of credentials needs. */
export interface AuthenticatorParts {
  /** Keys of the configuration, by the hex digits of their hash. */
  readonly configured: ReadonlyMap<string, Principal>;
  /** Keys of the environment, in the same way; those that can be guessed are not accepted from everywhere. */
  readonly environment: ReadonlyMap<string, Principal>;
  readonly allowWeakKeys: boolean;
  readonly keys: KeyStore;
  /** Tells whether the user of a configured key is disabled. */
  readonly users: Pick<UserStore, 'disabledAtMs'>;
  /** Never asked about a credential of another form, as the keys are never asked about one of this form. */
  readonly tokens: Pick<TokenService, 'verify'>;
  /** What keys are hashed with. */
  readonly pepper: Uint8Array;
  /** What they may still be hashed with. A key of ours that is used is hashed anew. */
  readonly olderPeppers: readonly Uint8Array[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Logger;
}

/** Where a credential comes from. */
export interface Origin {
  /** The caller's address; empty: unknown. */
  readonly clientIp: string;
  /** Whether only this machine reaches the port that it was sent to. Unset: no. */
  readonly boundToLoopback?: boolean;
}

/** Tells who presents a credential. */
export type AuthenticateCredential = (credential: string, origin: Origin) => Promise<Authenticated>;

/** Who a caller is. */
export interface Authenticated {
  readonly principal: Principal;
  /** How long the answer may be reused, in milliseconds. 0: not at all. */
  readonly cacheForMs: number;
}

/** The longest reuse of an answer, in milliseconds, by whoever watches revocations; others reuse none for so long. */
export const CACHE_MS = 60_000;

/** How exact the last use of a key is, in milliseconds; a finer one would cost a write per request. */
const LAST_USE_MS = 60_000;

/**
 * How long the older hash of a key counts that was hashed anew, in milliseconds: other processes may not know the present pepper
 * yet, and who acts for a caller names the secret by it.
 */
const OLDER_HASH_MS = 24 * 3_600_000;

/**
 * Makes the check of credentials. A key costs at most one read of the store, a token one of each: its signing key, its user,
 * its login.
 *
 * @throws MeshError CREDENTIAL_INVALID, the same for malformed, unknown, expired, revoked, of a disabled user and used from a
 * wrong address; STORE_UNAVAILABLE.
 */
export function createAuthenticator(parts: AuthenticatorParts): AuthenticateCredential {
  const { configured, environment, keys, users, tokens, pepper, olderPeppers, now, log } = parts;
  const failed = createFailedCredentials(now);
  const isRefused = createWeakKeyRefusal({ allowed: parts.allowWeakKeys, now, log });

  function noteUse({ keyId, lastUsedAtMs = 0 }: KeyRecord, nowMs: number): void {
    if (nowMs - lastUsedAtMs < LAST_USE_MS) return;
    // Nobody waits for it and no answer depends on it.
    keys.touch(keyId, nowMs).catch((error: unknown) => log.warn({ keyId, err: error }, 'last use was not noted'));
  }

  return async (credential, { clientIp, boundToLoopback = false }) => {
    const parsed = parseKey(credential);
    if (parsed === 'malformed') throw invalidCredential();
    const hash = hashKey(credential, pepper);
    const hashes = [hash, ...olderPeppers.map((older) => hashKey(credential, older))];
    const principal = hashes.map((each) => configured.get(each.toString('hex'))).find((each) => each !== undefined);
    if (principal) {
      if (principal.userId && (await users.disabledAtMs(principal.userId)) !== undefined) throw invalidCredential();
      return { principal, cacheForMs: CACHE_MS };
    }
    const ofEnvironment = environment.get(hash.toString('hex'));
    if (ofEnvironment) {
      if (isRefused(credential, ofEnvironment.keyId, boundToLoopback)) throw invalidCredential();
      return { principal: ofEnvironment, cacheForMs: CACHE_MS };
    }
    if (hasTokenForm(credential)) return await checkToken(credential, hash.toString('hex'), clientIp);
    const found = await failed.lookUp(clientIp, hash.toString('hex'), () =>
      parsed ? find(parsed.keyId, hashes, clientIp) : findImported(hashes, clientIp),
    );
    if (!found) throw invalidCredential();
    if (!parsed && isRefused(credential, found.record.keyId, boundToLoopback)) throw invalidCredential();
    noteUse(found.record, now());
    if (parsed && found.isOlder) hashAnew(found.record, hash, now());
    return answerOf(found, now());
  };

  async function checkToken(credential: string, hash: string, clientIp: string): Promise<Authenticated> {
    // One that has expired is no attempt at guessing, and its user shares the address with others.
    if (!canBeValid(credential, now())) throw invalidCredential();
    const token = await failed.lookUp(clientIp, hash, () => tokens.verify(credential));
    if (!token) throw invalidCredential();
    return { principal: principalOfToken(token), cacheForMs: Math.min(CACHE_MS, token.expiresAtMs - now()) };
  }

  async function find(keyId: string, hashes: readonly Buffer[], clientIp: string): Promise<Found | undefined> {
    const record = await keys.find(keyId);
    // As many comparisons whether the key is there or not.
    const known = hashes.map((hash) => ({ hash: hash.toString('hex'), endsAtMs: endOfSecret(record, hash) }));
    // By one pepper after the other it may be known twice, and what is kept of the one that was replaced ends before the key does.
    const match =
      known.find(({ hash }) => hash === record?.hash) ?? known.find(({ endsAtMs }) => endsAtMs !== undefined);
    if (!record || match?.endsAtMs === undefined) return undefined;
    const { hash, endsAtMs } = match;
    const nowMs = now();
    if (!isUsable(record, clientIp, endsAtMs, nowMs)) return undefined;
    // While the present pepper's is kept, another process has just replaced it: the two do not take turns at that.
    const [{ endsAtMs: presentEndsAtMs = 0 } = {}] = known;
    return { record, secretId: secretIdOf(hash), endsAtMs, isOlder: hash === record.hash && presentEndsAtMs <= nowMs };
  }

  /** Its id is made of its hash, so that it keeps the pepper that it was imported with. */
  async function findImported(hashes: readonly Buffer[], clientIp: string): Promise<Found | undefined> {
    for (const hash of hashes) {
      const found = await find(importedKeyId(hash), [hash], clientIp);
      if (found) return found;
    }
    return undefined;
  }

  function hashAnew({ keyId, hash, previous }: KeyRecord, present: Buffer, nowMs: number): void {
    const kept = previous.filter(({ validUntilMs }) => validUntilMs > nowMs);
    const older = { hash, validUntilMs: nowMs + OLDER_HASH_MS };
    // Nobody waits for it; where somebody else was faster, or the store is away, the next use tries again.
    keys
      .rotate(keyId, hash, { hash: present.toString('hex'), previous: [...kept, older] })
      .catch((error: unknown) => log.warn({ keyId, err: error }, 'a key was not hashed with the present pepper'));
  }
}

/** A usable key, which of its secrets was presented, and when that ends, in milliseconds since the epoch. */
export interface Found {
  readonly record: KeyRecord;
  /** Whether it is the newest secret of the key, known by the hash of an older pepper. Unset: no. */
  readonly isOlder?: boolean;
  readonly secretId: string;
  readonly endsAtMs: number;
}

/** The one answer about whoever does not count. */
export function invalidCredential(): MeshError {
  return new MeshError('CREDENTIAL_INVALID', 'Invalid API key');
}

/** Whether a key counts now, for a caller at that address. */
export function isUsable(record: FoundKey, clientIp: string, endsAtMs: number, nowMs: number): boolean {
  if (record.revokedAtMs !== undefined || record.userDisabledAtMs !== undefined || endsAtMs <= nowMs) return false;
  return record.allowedIpRanges.length === 0 || isInRanges(clientIp, record.allowedIpRanges);
}

/** What is said of a usable key. */
export function answerOf(found: Found, nowMs: number): Authenticated {
  // Whoever caches may not look at the address, so an answer about a bound key holds for one call.
  const isBound = found.record.allowedIpRanges.length > 0;
  const cacheForMs = isBound ? 0 : Math.min(CACHE_MS, found.endsAtMs - nowMs);
  return { principal: principalOf(found), cacheForMs };
}

function principalOf({ record, secretId, endsAtMs }: Found): Principal {
  return create(PrincipalSchema, {
    keyId: record.keyId,
    secretId,
    userId: record.userId,
    organizationId: record.organizationId,
    tier: record.tier,
    scopes: [...record.scopes],
    models: [...record.models],
    kind: CredentialKind.API_KEY,
    ...(endsAtMs === Number.POSITIVE_INFINITY ? {} : { expiresAt: timestampFromMs(endsAtMs) }),
  });
}

function principalOfToken({
  tokenId,
  userId,
  organizationId,
  tier,
  scopes,
  models,
  signingKeyId,
  familyId,
  expiresAtMs,
}: AccessToken): Principal {
  return create(PrincipalSchema, {
    ...{ keyId: tokenId, userId, organizationId, tier, signingKeyId, loginId: familyId },
    scopes: [...scopes],
    models: [...(models ?? [])],
    kind: CredentialKind.ACCESS_TOKEN,
    expiresAt: timestampFromMs(expiresAtMs),
  });
}
