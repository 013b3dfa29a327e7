import type { LimitState } from '../../../gen/mesh/quota/v1/limit_pb.ts';

/** How long a caller's limits are told from memory, in milliseconds. */
const FRESH_MS = 1000;
/** Callers that are remembered; the one looked up longest ago goes first. */
const MAX_CALLERS = 4096;

/** The last known state of callers' limits. */
export interface LimitBook {
  /** The limits of a caller, at most a second old. Rejects as `load` does. */
  of(credential: string): Promise<readonly LimitState[]>;
  /** Notes what a generation told. */
  remember(credential: string, limits: readonly LimitState[]): void;
}

interface Entry {
  readonly atMs: number;
  readonly limits: Promise<readonly LimitState[]> | readonly LimitState[];
}

/** Makes a LimitBook. `load` asks for the limits of a caller, `now` is in milliseconds. */
export function createLimitBook(
  load: (credential: string) => Promise<readonly LimitState[]>,
  now: () => number,
): LimitBook {
  const entries = new Map<string, Entry>();
  const put = (credential: string, entry: Entry): void => {
    entries.delete(credential);
    entries.set(credential, entry);
    if (entries.size <= MAX_CALLERS) return;
    for (const oldest of entries.keys()) {
      entries.delete(oldest);
      break;
    }
  };
  return {
    of: async (credential) => {
      const known = entries.get(credential);
      if (known && now() - known.atMs < FRESH_MS) return known.limits;
      const limits = load(credential);
      put(credential, { atMs: now(), limits });
      // A refusal is not remembered: the next request asks again.
      limits.catch(() => {
        if (entries.get(credential)?.limits === limits) entries.delete(credential);
      });
      return limits;
    },
    remember: (credential, limits) => put(credential, { atMs: now(), limits }),
  };
}
