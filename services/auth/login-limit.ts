import { networkOf } from '../shared/interceptors/network.ts';
import { createPendingAttempts, type Decide } from './pending-attempts.ts';

/**
 * Limits guesses of passwords by user name, known or not, and by address. It counts in this process alone: with several
 * auth processes each grants as much.
 */
export interface LoginLimit {
  /**
   * Takes an attempt, before anything is looked up or computed. Resolves to what must be told whether it was a wrong guess,
   * once; undefined when the name or the address has none left.
   */
  admit(username: string, clientIp: string): Promise<Decide | undefined>;
}

/** Wrong guesses: a burst, and so many per minute. */
const PER_USER = { burst: 10, perMinute: 10 };
const PER_ADDRESS = { burst: 20, perMinute: 20 };

/** Makes the limit; `now` in milliseconds since the epoch. */
export function createLoginLimit(now: () => number): LoginLimit {
  const users = createPendingAttempts(PER_USER, now);
  const addresses = createPendingAttempts(PER_ADDRESS, now);
  return {
    async admit(username, clientIp) {
      // The address first: one that has none left takes none from the users that it names.
      const decideAddress = await addresses.admit(networkOf(clientIp));
      if (!decideAddress) return undefined;
      const decideUser = await users.admit(username);
      // Nothing was tried, so whoever shares the address with a user under attack is not locked out too.
      if (!decideUser) decideAddress(false);
      return (
        decideUser &&
        ((hasFailed) => {
          decideUser(hasFailed);
          decideAddress(hasFailed);
        })
      );
    },
  };
}
