import { CredentialKind, type Principal } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { invalidField } from '../shared/errors/mesh-error.ts';

/**
 * Who may see what a caller submits: its API key, whatever its secret is by now; of a login its user. A name of a user that a key was
 * made for counts for nothing here, because whoever makes keys may choose it.
 *
 * @throws MeshError INVALID_FIELD for a process of the mesh, which has no tasks.
 */
export function ownerOf({ kind, keyId, organizationId, userId }: Principal): string {
  if (kind === CredentialKind.PEER) throw invalidField('principal', 'a process of the mesh has no tasks');
  return kind === CredentialKind.ACCESS_TOKEN ? `user:${organizationId}/${userId}` : `key:${keyId}`;
}
