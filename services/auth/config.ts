import { z } from 'zod';
import { SCOPE_NAMES } from './scope-names.ts';

const name = z.string().min(1).max(256);
const tier = z.string().min(1).max(64);

/** A documented field that this version does not have: silence would be a right or a guard that is believed in. */
const notYet = z.never({ error: 'is not implemented in this version' }).optional();

/** One key; the key itself never stands in the file. */
const apiKeySchema = z.strictObject({
  /** HMAC-SHA-256 of the key with the server's pepper, 64 hex digits. */
  hash: z
    .string()
    .regex(/^[0-9a-f]{64}$/i, { error: 'must be 64 hex digits: HMAC-SHA-256 of the key with the pepper' })
    .toLowerCase(),
  /** Whom it belongs to. Unset: nobody. */
  user: name.optional(),
  organization: name.default('default'),
  /** Its set of limits. Unset: its organisation's, else "standard". */
  tier: tier.optional(),
  scopes: z.array(z.enum(SCOPE_NAMES)).min(1).default(['generate']),
  /** Models that it may use; "*": all. */
  models: z.array(name).min(1).default(['*']),
});

/** The section `auth` of the configuration file. */
export const authConfigSchema = z.strictObject({
  api_keys: z
    .array(apiKeySchema)
    .refine((keys) => new Set(keys.map((key) => key.hash)).size === keys.length, { error: 'two keys have one hash' })
    .default([]),
  /** Organisations; one that is not listed has tier "standard". */
  organizations: z
    .array(z.strictObject({ id: name, tier: tier.default('standard') }))
    .refine((list) => new Set(list.map(({ id }) => id)).size === list.length, {
      error: 'two organisations have one id',
    })
    .default([]),
  /** Accepts keys that can be guessed also where others can reach the port. A hash does not tell; it is for imports. */
  allow_weak_keys: z.boolean().default(false),
  users: notYet,
  open_registration: z.literal(false, { error: 'is not implemented in this version' }).default(false),
});

/** What auth is told. */
export type AuthConfig = z.output<typeof authConfigSchema>;

/** The tiers that the configuration names, with the field that names each; for the check against those that exist. */
export function namedTiers(config: AuthConfig): { path: string; tier: string }[] {
  const keys = config.api_keys.flatMap((key, i) =>
    key.tier === undefined ? [] : [{ path: `auth.api_keys.${i}.tier`, tier: key.tier }],
  );
  const organizations = config.organizations.map(({ tier: named }, i) => ({
    path: `auth.organizations.${i}.tier`,
    tier: named,
  }));
  return [...keys, ...organizations];
}
