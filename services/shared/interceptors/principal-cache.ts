import { hash } from 'node:crypto';
import type { Principal } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import type { Authenticate } from './authorize.ts';
import { concerns, type Revocation } from './revocation.ts';

/** Longest reuse of an answer while revocations are not heard, in milliseconds: how late one may then take effect. */
export const MAX_UNWATCHED_MS = 5_000;

/** Longest reuse of a refusal, in milliseconds: a flood of one wrong key costs one check per second. */
const REFUSAL_CACHE_MS = 1_000;

/** Refusals that are remembered. They have their own place, so that a flood of wrong keys displaces no good one. */
const MAX_REFUSALS = 1_000;

/** An answer of auth and how long it may be reused. */
export interface Authenticated {
  readonly principal: Principal;
  /** In milliseconds; 0 is not kept. */
  readonly cacheForMs: number;
}

/** What a cache is made of. */
export interface PrincipalCacheOptions {
  readonly authenticate: (credential: string, clientIp: string | undefined) => Promise<Authenticated>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** The most good credentials that are remembered; default 10,000. */
  readonly maxEntries?: number;
}

/** Verified callers, remembered for a short time. */
export interface PrincipalCache {
  readonly authenticate: Authenticate;
  /** Forgets all answers that a revocation is about, also those that are on their way: they are asked for again. */
  forget(revocation: Revocation): void;
  /**
   * Says whether every revocation is heard from now on. Only what is asked for while it is so lives longer than
   * MAX_UNWATCHED_MS, and only as long as it stays so.
   */
  setWatched(isWatched: boolean): void;
}

interface Verified {
  readonly answer: Promise<Principal>;
  readonly principal: Principal;
  readonly askedAtMs: number;
  readonly cacheForMs: number;
  /** The watch during which it was asked for. */
  readonly watch: object | undefined;
}

interface Pending {
  readonly answer: Promise<Principal>;
  /** What was revoked since it was asked for. */
  readonly revoked: Revocation[];
}

interface Refused {
  readonly answer: Promise<Principal>;
  readonly untilMs: number;
}

/**
 * Wraps a check of credentials in a bounded cache, least recently used out first. Calls that miss at the same time share
 * one check. The credential itself is not kept, only its hash.
 */
export function createPrincipalCache({ now, maxEntries = 10_000, ...options }: PrincipalCacheOptions): PrincipalCache {
  const verified = new Map<string, Verified>();
  const pending = new Map<string, Pending>();
  const refused = new Map<string, Refused>();
  let watch: object | undefined;

  function authenticate(credential: string, clientIp: string | undefined): Promise<Principal> {
    // A key may be bound to addresses, so an answer holds for one address.
    const key = hash('sha256', `${clientIp ?? ''} ${credential}`, 'base64');
    const known = verified.get(key);
    if (known) {
      verified.delete(key);
      if (holds(known)) {
        verified.set(key, known);
        return known.answer;
      }
    }
    const asked = pending.get(key);
    if (asked) return asked.answer;
    const no = refused.get(key);
    return no && no.untilMs > now() ? no.answer : ask(key, credential, clientIp);
  }

  function holds({ askedAtMs, cacheForMs, watch: askedIn }: Verified): boolean {
    const isWatched = askedIn !== undefined && askedIn === watch;
    return now() < askedAtMs + (isWatched ? cacheForMs : Math.min(cacheForMs, MAX_UNWATCHED_MS));
  }

  function ask(key: string, credential: string, clientIp: string | undefined): Promise<Principal> {
    const revoked: Revocation[] = [];
    const question = { askedAtMs: now(), watch };
    const answer = options.authenticate(credential, clientIp).then(
      ({ principal, cacheForMs }) => {
        pending.delete(key);
        if (revoked.some((revocation) => concerns(revocation, principal))) return authenticate(credential, clientIp);
        if (cacheForMs > 0) keep(verified, key, { ...question, answer, principal, cacheForMs }, maxEntries);
        return principal;
      },
      (error: unknown) => {
        pending.delete(key);
        keep(refused, key, { answer, untilMs: now() + REFUSAL_CACHE_MS }, MAX_REFUSALS);
        throw error;
      },
    );
    pending.set(key, { answer, revoked });
    return answer;
  }

  return {
    authenticate,
    forget(revocation) {
      for (const [key, { principal }] of verified) if (concerns(revocation, principal)) verified.delete(key);
      for (const { revoked } of pending.values()) revoked.push(revocation);
    },
    setWatched(isWatched) {
      watch = isWatched ? {} : undefined;
    },
  };
}

/** A Map iterates in insertion order, and what is used is inserted again: the first entry is the oldest. */
function keep<T>(entries: Map<string, T>, key: string, entry: T, maxEntries: number): void {
  entries.delete(key);
  entries.set(key, entry);
  if (entries.size > maxEntries) entries.delete(entries.keys().next().value ?? '');
}
