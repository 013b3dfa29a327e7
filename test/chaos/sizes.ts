/** How large a chaos run is; each may be set by an environment variable. */
export const SIZES = {
  /** CHAOS_GATEWAYS: how many gateways share the store. */
  gateways: size('CHAOS_GATEWAYS', 3),
  /** CHAOS_KEYS: how many keys the load uses. */
  keys: size('CHAOS_KEYS', 16),
  /** CHAOS_REQUESTS: how many requests are sent. */
  requests: size('CHAOS_REQUESTS', 6_000),
  /** CHAOS_TASKS: how many tasks are submitted, in a run of their own. */
  tasks: size('CHAOS_TASKS', 1_200),
  /** CHAOS_AT_ONCE: how many of them at a time. */
  atOnce: size('CHAOS_AT_ONCE', 80),
  /** CHAOS_LEASE_SECONDS: how long leases live without a report; gateways are stopped for longer and for shorter. */
  leaseSeconds: size('CHAOS_LEASE_SECONDS', 6),
  /** CHAOS_SEED: what is sent and what is done to whom; not when it happens. */
  seed: size('CHAOS_SEED', Date.now() % 1_000_000),
};

/** CHAOS_KEEP: the directory in which a run leaves what it recorded. Unset: nowhere. */
export const KEPT_IN = process.env.CHAOS_KEEP;

function size(name: string, usual: number): number {
  return Number(process.env[name] ?? usual);
}
