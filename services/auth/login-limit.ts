import { createAttemptLimit } from './attempt-limit.ts';
import { networkOf } from './ip-ranges.ts';

/**
 * Limits guesses of passwords by user name, known or not, and by address. It counts in this process alone: with several
 * auth processes each grants as much.
 */
export interface LoginLimit {
  /**
   * Takes an attempt, before anything is looked up or computed. Returns what gives it back when it was no wrong guess;
   * undefined when the name or the address has none left.
   */
  admit(username: string, clientIp: string): (() => void) | undefined;
}

/** Failed logins: a burst, and so many per minute. */
const PER_USER = { burst: 10, perMinute: 10 };
const PER_ADDRESS = { burst: 20, perMinute: 20 };

/** Makes the limit; `now` in milliseconds since the epoch. */
export function createLoginLimit(now: () => number): LoginLimit {
  const users = createAttemptLimit(PER_USER);
  const addresses = createAttemptLimit(PER_ADDRESS);
  return {
    admit(username, clientIp) {
      const network = networkOf(clientIp);
      const nowMs = now();
      if (!addresses.allows(network, nowMs) || !users.allows(username, nowMs)) return undefined;
      addresses.take(network, nowMs);
      users.take(username, nowMs);
      return () => {
        addresses.giveBack(network, now());
        users.giveBack(username, now());
      };
    },
  };
}
