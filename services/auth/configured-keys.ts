import { create } from '@bufbuild/protobuf';
import { CredentialKind, type Principal, PrincipalSchema } from '../../gen/mesh/auth/v1/principal_pb.ts';
import type { AuthConfig } from './config.ts';
import { configuredTiers } from './configured-tiers.ts';
import { SCOPES } from './scope-names.ts';

/** The keys of the configuration file, by the hex digits of their hash. They live in memory and end with their entry. */
export function configuredKeys(config: AuthConfig): ReadonlyMap<string, Principal> {
  const tiers = configuredTiers(config);
  return new Map(
    config.api_keys.map((key) => [
      key.hash,
      create(PrincipalSchema, {
        // A part of the hash tells nothing about the key, and stays the same when the file is sorted anew.
        keyId: `config-${key.hash.slice(0, 12)}`,
        userId: key.user ?? '',
        organizationId: key.organization,
        tier: key.tier ?? tiers.get(key.organization) ?? 'standard',
        scopes: key.scopes.map((scope) => SCOPES[scope]),
        models: key.models,
        kind: CredentialKind.API_KEY,
      }),
    ]),
  );
}
