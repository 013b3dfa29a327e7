import { z } from 'zod';

/** The field `router.queue` of the configuration file: requests that wait for an engine while all of their model are full. */
export const queueConfigSchema = z.strictObject({
  /** How many requests may wait for one model; more are told 503. 0: none waits. */
  max_waiting: z.int().min(0).max(100_000).default(512),
  /** How much memory those of one model may hold, in MiB. */
  max_waiting_mib: z.number().positive().max(65_536).default(64),
  /** Whose requests go first: tier → priority; the higher goes first. Tiers that are not named have 0. */
  tier_priorities: z.record(z.string().min(1), z.int().min(0).max(100)).default({}),
  /** After how long in line a request counts as one priority higher, in seconds. */
  ageing_seconds: z.number().positive().max(86_400).default(10),
});

/** The validated field `router.queue`. */
export type QueueConfig = z.output<typeof queueConfigSchema>;
