import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';

/** The names of scopes, as configuration and messages have them. */
export const SCOPES = {
  generate: Scope.GENERATE,
  'models:read': Scope.MODELS_READ,
  'models:manage': Scope.MODELS_MANAGE,
  'keys:manage': Scope.KEYS_MANAGE,
  'usage:read': Scope.USAGE_READ,
  admin: Scope.ADMIN,
} as const satisfies Record<string, Scope>;

/** The name of a scope. */
export type ScopeName = keyof typeof SCOPES;

/** All names. */
export const SCOPE_NAMES = Object.keys(SCOPES) as [ScopeName, ...ScopeName[]];

/** The name of a scope. */
export function scopeNameOf(scope: Scope): string {
  return SCOPE_NAMES.find((name) => SCOPES[name] === scope) ?? 'unspecified';
}
