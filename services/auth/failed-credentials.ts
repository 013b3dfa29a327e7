import { networkOf } from '../shared/interceptors/network.ts';
import { createPendingAttempts } from './pending-attempts.ts';

/**
 * Keeps a flood of wrong credentials away from the store: each address has so many failures, after which only credentials
 * that were good here before are looked up. Those are known by their hash, which nobody can guess, so whoever shares an
 * address with the flood (NAT, a proxy that is not trusted) goes on; only a key that this process has never seen has to wait
 * until the flood ends. It counts in this process alone.
 */
export interface FailedCredentials {
  /**
   * Looks a credential up, or resolves to undefined without doing so. A lookup that resolves to undefined is a failure; one
   * that rejects is none.
   *
   * @param hash that of the credential, in hex
   */
  lookUp<T>(clientIp: string, hash: string, find: () => Promise<T | undefined>): Promise<T | undefined>;
}

/** Failures of one address: a burst, and so many per minute. */
const PER_ADDRESS = { burst: 20, perMinute: 20 };

/** The most good credentials that are remembered, least recently looked up out first. */
const MAX_GOOD = 10_000;

/** Makes the limit; `now` in milliseconds since the epoch. */
export function createFailedCredentials(now: () => number): FailedCredentials {
  const attempts = createPendingAttempts(PER_ADDRESS, now);
  // A Set iterates in insertion order, so the first entry is the one that was looked up longest ago.
  const good = new Set<string>();

  function remember(hash: string, isGood: boolean): void {
    good.delete(hash);
    if (isGood) good.add(hash);
    if (good.size > MAX_GOOD) good.delete(good.keys().next().value ?? '');
  }

  return {
    async lookUp(clientIp, hash, find) {
      if (good.has(hash)) {
        const found = await find();
        remember(hash, found !== undefined);
        return found;
      }
      const decide = await attempts.admit(networkOf(clientIp));
      if (!decide) return undefined;
      let hasFailed = false;
      try {
        const found = await find();
        hasFailed = found === undefined;
        remember(hash, !hasFailed);
        return found;
      } finally {
        decide(hasFailed);
      }
    },
  };
}
