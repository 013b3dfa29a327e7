import { z } from 'zod';

/** The section `tasks` of the configuration file. */
export const tasksConfigSchema = z.strictObject({
  /** How many tasks a process runs at once. */
  concurrency: z.int().min(1).max(1_024).default(8),
  /** The longest that one run may take, in seconds; environment: TASK_TIME_LIMIT. A task may ask for less. */
  time_limit_seconds: z
    .number()
    .positive()
    .max(24 * 3600)
    .default(120),
  /** How often a task is run before it fails, when its worker dies or its engine fails. */
  max_attempts: z.int().min(1).max(100).default(3),
  /** How long a task and its events are kept after its end, in hours. */
  result_ttl_hours: z
    .number()
    .positive()
    .max(24 * 366)
    .default(24),
  /** How long a worker may be silent before its tasks are given to another, in seconds. */
  lease_seconds: z.number().min(1).max(600).default(10),
  /** Whose tasks go first: tier → priority; the higher goes first. Tiers that are not named have 0. */
  tier_priorities: z.record(z.string(), z.int().min(-100).max(100)).default({}),
  /** After how long in the queue a task counts as one priority higher, in seconds. */
  ageing_seconds: z.number().positive().max(86_400).default(600),
});

/** The validated section `tasks`. */
export type TasksConfig = z.output<typeof tasksConfigSchema>;
