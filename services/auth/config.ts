import { z } from 'zod';
import { PASSWORD_HASH_FORM, parsePasswordHash } from './password-hash.ts';
import { SCOPE_NAMES } from './scope-names.ts';

const name = z.string().min(1).max(256);
const tier = z.string().min(1).max(64);

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

/** Said instead of the value, which may be a password. */
const NO_HASH = `must be ${PASSWORD_HASH_FORM}; print one with: npx inference-mesh users hash`;

/** One user; the password never stands in the file. */
const userSchema = z.strictObject({
  name,
  password_hash: z.string().refine((text) => parsePasswordHash(text) !== undefined, { error: NO_HASH }),
  password: z
    .never({ error: 'never stands in the file: give password_hash, printed by: npx inference-mesh users hash' })
    .optional(),
  organization: name.default('default'),
  /** Its set of limits. Unset: its organisation's, else "standard". */
  tier: tier.optional(),
  scopes: z.array(z.enum(SCOPE_NAMES)).min(1).default(['generate']),
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
  users: z
    .array(userSchema)
    .refine((users) => new Set(users.map((user) => user.name)).size === users.length, {
      error: 'two users have one name',
    })
    .default([]),
  /** What the tokens of users are signed with; a change takes effect when the new key has been published long enough. */
  token_algorithm: z.enum(['EdDSA', 'ES256']).default('EdDSA'),
  /** Whether anyone may make a key with POST /generate_apikey; else that needs the scope `admin`. */
  open_registration: z.boolean().default(false),
});

/** What auth is told. */
export type AuthConfig = z.output<typeof authConfigSchema>;

/** The tiers that the configuration names, with the field that names each; for the check against those that exist. */
export function namedTiers(config: AuthConfig): { path: string; tier: string }[] {
  const keys = config.api_keys.flatMap((key, i) =>
    key.tier === undefined ? [] : [{ path: `auth.api_keys.${i}.tier`, tier: key.tier }],
  );
  const users = config.users.flatMap((user, i) =>
    user.tier === undefined ? [] : [{ path: `auth.users.${i}.tier`, tier: user.tier }],
  );
  const organizations = config.organizations.map(({ tier: named }, i) => ({
    path: `auth.organizations.${i}.tier`,
    tier: named,
  }));
  return [...keys, ...users, ...organizations];
}
