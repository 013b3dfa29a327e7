import { create } from '@bufbuild/protobuf';
import { createContextKey, type HandlerContext } from '@connectrpc/connect';
import { CredentialKind, type Principal, PrincipalSchema, Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { MeshError } from '../errors/mesh-error.ts';

/** Where the authorization interceptor leaves the caller for handlers. */
export const principalKey = createContextKey<Principal | undefined>(undefined, {
  description: 'the authenticated caller of an RPC',
});

/** A process of the mesh, acting for itself. */
export const PEER_PRINCIPAL: Principal = create(PrincipalSchema, {
  keyId: 'peer',
  kind: CredentialKind.PEER,
  scopes: [Scope.ADMIN],
});

/**
 * The caller of an RPC.
 *
 * @throws MeshError CREDENTIAL_MISSING on an open method that was called without a credential.
 */
export function principalOf(context: HandlerContext): Principal {
  const principal = context.values.get(principalKey);
  if (!principal) throw new MeshError('CREDENTIAL_MISSING', 'Send an API key as Authorization: Bearer or X-API-Key.');
  return principal;
}

/** Whether a caller has a right; the scope `admin` has them all. */
export function hasScope(principal: Principal, scope: Scope): boolean {
  return principal.scopes.includes(scope) || principal.scopes.includes(Scope.ADMIN);
}

/** Whether a caller's grants cover a model, by its id or any of its names. An empty list or "*" grants all. */
export function isGranted(
  { models: grants }: Pick<Principal, 'models'>,
  { id, names }: { readonly id: string; readonly names: readonly string[] },
): boolean {
  if (grants.length === 0 || grants.includes('*')) return true;
  return grants.includes(id) || names.some((name) => grants.includes(name));
}
