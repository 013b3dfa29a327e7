import { hash } from 'node:crypto';
import type { Principal } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import type { Authenticate } from './authorize.ts';

/** Longest reuse of an answer, in milliseconds: how late a revocation that was not pushed may take effect. */
export const MAX_CACHE_MS = 5_000;

/** Longest reuse of a refusal, in milliseconds: a flood of one wrong key costs one check per second. */
const FAILURE_CACHE_MS = 1_000;

/** An answer of auth and how long it may be reused. */
export interface Authenticated {
  readonly principal: Principal;
  /** In milliseconds; at most MAX_CACHE_MS is used, 0 is not kept. */
  readonly cacheForMs: number;
}

/** What a cache is made of. */
export interface PrincipalCacheOptions {
  readonly authenticate: (credential: string, clientIp: string | undefined) => Promise<Authenticated>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** The most credentials that are remembered; default 10,000. */
  readonly maxEntries?: number;
}

/** Verified callers, remembered for a short time. */
export interface PrincipalCache {
  readonly authenticate: Authenticate;
  /** Forgets all answers about a key; for revocations. */
  forget(keyId: string): void;
  /** Forgets everything. */
  clear(): void;
}

interface Entry {
  readonly answer: Promise<Principal>;
  until: number;
  keyId: string | undefined;
}

/**
 * Wraps a check of credentials in a bounded cache, least recently used out first. Calls that miss at the same time share
 * one check. The credential itself is not kept, only its hash.
 */
export function createPrincipalCache(options: PrincipalCacheOptions): PrincipalCache {
  // A Map iterates in insertion order; an entry that is used is inserted again, so the first one is the oldest.
  const entries = new Map<string, Entry>();
  const maxEntries = options.maxEntries ?? 10_000;

  function authenticate(credential: string, clientIp: string | undefined): Promise<Principal> {
    // A key may be bound to addresses, so an answer holds for one address.
    const key = hash('sha256', `${clientIp ?? ''} ${credential}`, 'base64');
    const known = entries.get(key);
    if (known) entries.delete(key);
    const entry = known && known.until > options.now() ? known : ask(key, credential, clientIp);
    entries.set(key, entry);
    if (entries.size > maxEntries) entries.delete(entries.keys().next().value ?? '');
    return entry.answer;
  }

  function ask(key: string, credential: string, clientIp: string | undefined): Entry {
    const asked = options.authenticate(credential, clientIp);
    const entry: Entry = {
      // While the check runs everybody waits for it; its own end sets how long it holds.
      until: Number.POSITIVE_INFINITY,
      keyId: undefined,
      answer: asked.then(
        ({ principal, cacheForMs }) => {
          entry.keyId = principal.keyId;
          entry.until = options.now() + Math.min(cacheForMs, MAX_CACHE_MS);
          if (cacheForMs <= 0 && entries.get(key) === entry) entries.delete(key);
          return principal;
        },
        (error: unknown) => {
          entry.until = options.now() + FAILURE_CACHE_MS;
          throw error;
        },
      ),
    };
    return entry;
  }

  return {
    authenticate,
    forget(keyId) {
      for (const [key, entry] of entries) {
        // One that is still being checked may be about this key.
        if (entry.keyId === keyId || entry.until === Number.POSITIVE_INFINITY) entries.delete(key);
      }
    },
    clear: () => entries.clear(),
  };
}
