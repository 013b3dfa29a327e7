import type { Logger } from 'pino';
import { isWeakKey } from './key-strength.ts';

/** How often a refusal is told to the operator, in milliseconds: the answer itself says nothing. */
const WARNING_MS = 60_000;

/** What decides where keys that can be guessed count. */
export interface WeakKeyRefusalParts {
  /** `auth.allow_weak_keys`. */
  readonly allowed: boolean;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Logger;
}

/**
 * Makes the check of keys that were made elsewhere. Whoever asks auth may listen where others reach it although auth itself
 * does not, so the start of auth alone cannot tell.
 *
 * @returns whether a valid key is refused because it can be guessed and was not sent over a loopback address
 */
export function createWeakKeyRefusal({ allowed, now, log }: WeakKeyRefusalParts) {
  let quietUntilMs = 0;
  return (key: string, keyId: string, boundToLoopback: boolean): boolean => {
    if (allowed || boundToLoopback || !isWeakKey(key)) return false;
    if (now() >= quietUntilMs) {
      quietUntilMs = now() + WARNING_MS;
      log.warn(
        { keyId },
        'a key that can be guessed was refused, because others reach the port that it was sent to: make a new one, or set auth.allow_weak_keys or MESH_ALLOW_WEAK_KEYS=1 for auth',
      );
    }
    return true;
  };
}
