import { create } from '@bufbuild/protobuf';
import { CredentialKind, type Principal, PrincipalSchema, Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { hashKey } from './api-key.ts';
import { DEFAULT_ORGANIZATION } from './key-policy.ts';

/** The tier of keys that the environment names. */
const TIER = 'queue';

/** The keys of the environment, by the hex digits of their hash. They live in memory and end with their variable. */
export function environmentPrincipals(keys: readonly string[], pepper: Uint8Array): ReadonlyMap<string, Principal> {
  return new Map(
    keys.map((key) => {
      const hash = hashKey(key, pepper).toString('hex');
      const principal = create(PrincipalSchema, {
        // A part of the hash tells nothing about the key, and stays the same when the list is sorted anew.
        keyId: `environment-${hash.slice(0, 12)}`,
        organizationId: DEFAULT_ORGANIZATION,
        tier: TIER,
        scopes: [Scope.GENERATE],
        kind: CredentialKind.API_KEY,
      });
      return [hash, principal];
    }),
  );
}
