/** How many attempts a key has. */
export interface AttemptLimitOptions {
  /** At once. */
  readonly burst: number;
  /** Given back over time. */
  readonly perMinute: number;
  /** The most keys that are remembered, least recently used out first; default 10,000. */
  readonly maxKeys?: number;
}

/** Counts attempts by key, e.g. a name or an address, in a bounded amount of this process's memory. */
export interface AttemptLimit {
  /** Whether a key has an attempt left. */
  allows(key: string, nowMs: number): boolean;
  /** Takes one; below none it stays none. */
  take(key: string, nowMs: number): void;
  /** Gives one back, for an attempt that turned out to be none. */
  giveBack(key: string, nowMs: number): void;
}

interface Bucket {
  readonly left: number;
  readonly atMs: number;
}

/** Makes a limit. Times are milliseconds of one clock; one that is set back gives nothing. */
export function createAttemptLimit({ burst, perMinute, maxKeys = 10_000 }: AttemptLimitOptions): AttemptLimit {
  // A Map iterates in insertion order, so the first entry is the one that was not changed for the longest.
  const buckets = new Map<string, Bucket>();

  function leftOf(key: string, nowMs: number): number {
    const bucket = buckets.get(key);
    if (!bucket) return burst;
    return Math.min(burst, bucket.left + (Math.max(0, nowMs - bucket.atMs) * perMinute) / 60_000);
  }

  function set(key: string, left: number, nowMs: number): void {
    buckets.delete(key);
    // A full one says as much as none.
    if (left < burst) buckets.set(key, { left, atMs: nowMs });
    if (buckets.size > maxKeys) buckets.delete(buckets.keys().next().value ?? '');
  }

  return {
    allows: (key, nowMs) => leftOf(key, nowMs) >= 1,
    take: (key, nowMs) => set(key, Math.max(0, leftOf(key, nowMs) - 1), nowMs),
    giveBack: (key, nowMs) => set(key, leftOf(key, nowMs) + 1, nowMs),
  };
}
