import { z } from 'zod';
import { limitFieldsSchema } from './limit-config.ts';
import { BUILT_IN_TIERS, ORGANIZATION_DEFAULTS, PER_IP_DEFAULTS, UNLIMITED } from './tiers.ts';

/** Limits by whom they are for. */
const bySubject = z.record(z.string().min(1).max(256), atLeastOne('an entry')).default({});

/**
 * The section `quota` of the configuration file. Every entry is whole: a limit that it does not name does not hold for it,
 * also where one that is built in had it.
 */
export const quotaConfigSchema = z.strictObject({
  /** Tiers by name, besides and instead of those that are built in: premium, standard, free, queue. Count per key. */
  tiers: z
    .record(z.string().min(1).max(64), atLeastOne('a tier'))
    .refine((tiers) => !Object.hasOwn(tiers, UNLIMITED), { message: '"unlimited" has no limits and keeps none' })
    .default({}),
  /** Of every organisation that `organizations` does not name. */
  organization_defaults: limitFieldsSchema.default(ORGANIZATION_DEFAULTS),
  /** Of single organisations, by id. */
  organizations: bySubject,
  /** Of every user that `users` does not name. */
  user_defaults: limitFieldsSchema.default({}),
  /** Of single users, by id; of all their keys and tokens together. */
  users: bySubject,
  /** Of single API keys, by key id; besides the limits of their tier. */
  keys: bySubject,
  /** Of every model that `models` does not name; of all callers together. */
  model_defaults: limitFieldsSchema.default({}),
  /** Of single models, by any of their names. */
  models: bySubject,
  /** Of every engine that `engines` does not name; of all callers together. */
  engine_defaults: limitFieldsSchema.default({}),
  /** Of single engines, by their configured name. */
  engines: bySubject,
  /** Of every client address but loopback; an IPv6 address counts by its /64. */
  per_ip: limitFieldsSchema.default(PER_IP_DEFAULTS),
  /** How many completion tokens a generation holds ahead at most; the rest of its max_tokens is asked for as tokens flow. */
  reserve_window_tokens: z.int().min(1).max(1_000_000).default(4_096),
  /** How long the usage ledger is kept, in days. */
  usage_retention_days: z.int().min(1).max(36_500).default(400),
});

/** What quota is told. */
export type QuotaConfig = z.output<typeof quotaConfigSchema>;

/** The names of all tiers that a key may have. */
export function tierNames(config: Pick<QuotaConfig, 'tiers'>): ReadonlySet<string> {
  return new Set([...Object.keys(BUILT_IN_TIERS), ...Object.keys(config.tiers)]);
}

function atLeastOne(what: string) {
  return limitFieldsSchema.refine((fields) => Object.values(fields).some((value) => value !== undefined), {
    message: `${what} needs at least one limit`,
  });
}
