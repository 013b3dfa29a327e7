import { CredentialKind, type Principal, Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { invalidField, MeshError } from '../shared/errors/mesh-error.ts';
import { hasScope } from '../shared/interceptors/principal.ts';

/**
 * The caller, as somebody who has limits.
 *
 * @throws MeshError INVALID_FIELD for a process of the mesh.
 */
export function limitedCaller(caller: Principal): Principal {
  if (caller.kind === CredentialKind.PEER) throw invalidField('principal', 'a process of the mesh has no limits');
  return caller;
}

/** @throws MeshError SCOPE_MISSING unless the caller is an admin; `what` is another's, e.g. "Another caller’s limits". */
export function requireAdmin(caller: Principal, what: string): void {
  if (hasScope(caller, Scope.ADMIN)) return;
  throw new MeshError('SCOPE_MISSING', `${what} need the scope "admin".`, { metadata: { scope: 'admin' } });
}
