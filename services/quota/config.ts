import { z } from 'zod';
import { BUILT_IN_TIERS } from './tiers.ts';

const limit = z.number().int().min(1).max(1_000_000_000);

/** One tier, whole: a field that is not given means no such limit, also for a tier that is built in. */
const tierSchema = z
  .strictObject({
    /** The most requests of one key in any 60 seconds. Unset: no such limit. */
    requests_per_minute: limit.optional(),
    /** The most requests of one key in any 3,600 seconds. Unset: no such limit. */
    requests_per_hour: limit.optional(),
  })
  .refine((tier) => tier.requests_per_minute !== undefined || tier.requests_per_hour !== undefined, {
    message: 'a tier needs at least one limit; the tier "unlimited" has none',
  })
  .refine((tier) => (tier.requests_per_hour ?? Number.POSITIVE_INFINITY) >= (tier.requests_per_minute ?? 0), {
    message: 'requests_per_minute is never reached, because requests_per_hour is lower',
    path: ['requests_per_minute'],
  });

/** A documented field that this version does not have: silence would be a limit that is believed in and not there. */
const notYet = z.never({ error: 'is not implemented in this version' }).optional();

/** The section `quota` of the configuration file. */
export const quotaConfigSchema = z.strictObject({
  /** Tiers by name, besides and instead of those that are built in: premium, standard, free, queue, unlimited. */
  tiers: z
    .record(z.string().min(1).max(64), tierSchema)
    .refine((tiers) => !Object.hasOwn(tiers, 'unlimited'), { message: '"unlimited" has no limits and keeps none' })
    .default({}),
  organization_defaults: notYet,
  per_ip: notYet,
});

/** What quota is told. */
export type QuotaConfig = z.output<typeof quotaConfigSchema>;

/** The names of all tiers that a key may have. */
export function tierNames(config: QuotaConfig): ReadonlySet<string> {
  return new Set([...Object.keys(BUILT_IN_TIERS), ...Object.keys(config.tiers)]);
}
