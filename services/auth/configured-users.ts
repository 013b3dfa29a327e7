import type { AuthConfig } from './config.ts';
import { configuredTiers } from './configured-tiers.ts';
import { SCOPES } from './scope-names.ts';
import type { UserRecord } from './store/user-store.ts';

/** The users of the configuration file, by name. They live in memory and end with their entry; times are 0. */
export function configuredUsers(config: AuthConfig): ReadonlyMap<string, UserRecord> {
  const tiers = configuredTiers(config);
  return new Map(
    config.users.map((user) => [
      user.name,
      {
        userId: user.name,
        organizationId: user.organization,
        tier: user.tier ?? tiers.get(user.organization) ?? 'standard',
        scopes: user.scopes.map((scope) => SCOPES[scope]),
        passwordHash: user.password_hash,
        createdAtMs: 0,
        passwordChangedAtMs: 0,
      },
    ]),
  );
}
