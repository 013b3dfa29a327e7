import { type Changes, createChanges } from '../shared/transport/changes.ts';
import { createAttemptLimit } from './attempt-limit.ts';
import { networkOf } from './ip-ranges.ts';

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

/** The lookups of one address whose outcome is not known yet. */
interface Undecided {
  count: number;
  readonly changes: Changes;
}

/** Makes the limit; `now` in milliseconds since the epoch. */
export function createFailedCredentials(now: () => number): FailedCredentials {
  const failures = createAttemptLimit(PER_ADDRESS);
  const undecided = new Map<string, Undecided>();
  // A Set iterates in insertion order, so the first entry is the one that was looked up longest ago.
  const good = new Set<string>();

  function remember(hash: string, isGood: boolean): void {
    good.delete(hash);
    if (isGood) good.add(hash);
    if (good.size > MAX_GOOD) good.delete(good.keys().next().value ?? '');
  }

  /** Takes an attempt. What is under way may give one back, so whoever finds none waits for it and is not refused. */
  async function admit(network: string): Promise<Undecided | undefined> {
    while (!failures.allows(network, now())) {
      const pending = undecided.get(network);
      if (!pending) return undefined;
      await pending.changes.until(() => pending.count === 0 || failures.allows(network, now()));
    }
    failures.take(network, now());
    const own = undecided.get(network) ?? { count: 0, changes: createChanges() };
    own.count += 1;
    undecided.set(network, own);
    return own;
  }

  function decide(network: string, own: Undecided, hasFailed: boolean): void {
    if (!hasFailed) failures.giveBack(network, now());
    own.count -= 1;
    if (own.count === 0) undecided.delete(network);
    own.changes.notify();
  }

  return {
    async lookUp(clientIp, hash, find) {
      const network = networkOf(clientIp);
      if (good.has(hash)) {
        const found = await find();
        remember(hash, found !== undefined);
        return found;
      }
      const own = await admit(network);
      if (!own) return undefined;
      let hasFailed = false;
      try {
        const found = await find();
        hasFailed = found === undefined;
        remember(hash, !hasFailed);
        return found;
      } finally {
        decide(network, own, hasFailed);
      }
    },
  };
}
