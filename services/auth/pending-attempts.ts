import { type Changes, createChanges } from '../shared/transport/changes.ts';
import { type AttemptLimitOptions, createAttemptLimit } from './attempt-limit.ts';

/** Limits failures by key, where only the outcome tells whether an attempt is one. */
export interface PendingAttempts {
  /**
   * Takes an attempt. Those under way may give theirs back, so whoever finds none left waits for them and is not refused:
   * many good ones at once all come through. Resolves to what must be told how it ended, once; undefined: there is none left.
   */
  admit(key: string): Promise<Decide | undefined>;
}

/** Says how an attempt ended. One that failed stays taken. */
export type Decide = (hasFailed: boolean) => void;

/** The attempts of one key whose outcome is not known yet. */
interface Undecided {
  count: number;
  readonly changes: Changes;
}

/** Makes the limit; `now` in milliseconds since the epoch. */
export function createPendingAttempts(options: AttemptLimitOptions, now: () => number): PendingAttempts {
  const limit = createAttemptLimit(options);
  const undecided = new Map<string, Undecided>();
  return {
    async admit(key) {
      while (!limit.allows(key, now())) {
        const pending = undecided.get(key);
        if (!pending) return undefined;
        await pending.changes.until(() => pending.count === 0 || limit.allows(key, now()));
      }
      limit.take(key, now());
      const own = undecided.get(key) ?? { count: 0, changes: createChanges() };
      own.count += 1;
      undecided.set(key, own);
      return (hasFailed) => {
        if (!hasFailed) limit.giveBack(key, now());
        own.count -= 1;
        if (own.count === 0) undecided.delete(key);
        own.changes.notify();
      };
    },
  };
}
