import type { AuthConfig } from './config.ts';

/** The tiers of the organisations of the configuration file, by id. */
export function configuredTiers(config: AuthConfig): ReadonlyMap<string, string> {
  return new Map(config.organizations.map(({ id, tier }) => [id, tier]));
}
