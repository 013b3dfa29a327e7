import type { HandlerContext } from '@connectrpc/connect';
import type { Principal } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { MeshError } from '../errors/mesh-error.ts';
import { ON_BEHALF_OF_HEADER } from '../transport/mesh-headers.ts';
import type { Role } from '../transport/roles.ts';
import type { Access } from './access.ts';
import { certifiedRolesKey } from './certified-roles.ts';
import { clientIpKey } from './client-ip.ts';
import { credentialOf } from './credential.ts';
import { type Vouching, vouchedKey } from './on-behalf-of.ts';

/** Whether somebody who was verified before still counts, and as whom. Rejects with MeshError CREDENTIAL_INVALID. */
export type Revalidate = (principal: Principal, clientIp: string | undefined) => Promise<Principal>;

/** What decides on calls of processes of the mesh for callers whose credential they do not hold. */
export interface OnBehalfOfOptions {
  readonly vouching: Pick<Vouching, 'verify'>;
  readonly revalidate: Revalidate;
}

/** Who may vouch, where certificates say who is who: what holds callers' work, and what passes calls on. */
const VOUCHERS: readonly Role[] = ['tasks', 'facade'];

/** The name of the protocol of calls that stay in the process, and are the process's own; the network has none like it. */
export const LOCAL_PROTOCOL = 'local';

/**
 * Decides on a call with the header `mesh-on-behalf-of-bin`; leaves whom it is for under vouchedKey, and the caller's address
 * under clientIpKey. A peer's word takes the place of a credential at the front door alone: nothing else is done without one.
 *
 * @param hasToken whether the call has the mesh token, where that proves a process of the mesh
 * @throws MeshError PEER_ONLY, CREDENTIAL_CONFLICT or CREDENTIAL_INVALID.
 */
export async function acceptOnBehalfOf(
  context: HandlerContext,
  access: Access,
  hasToken: boolean,
  options: OnBehalfOfOptions | undefined,
): Promise<void> {
  const { method, requestHeader, values, protocolName } = context;
  const certified = values.get(certifiedRolesKey);
  const isPeer = hasToken || protocolName === LOCAL_PROTOCOL || VOUCHERS.some((role) => certified?.has(role));
  if (!isPeer || !options) throw new MeshError('PEER_ONLY', 'Only processes of the mesh may act for a caller.');
  if (access.kind !== 'front-door') throw new MeshError('PEER_ONLY', 'Nobody may call this method for a caller.');
  if (credentialOf(requestHeader) !== undefined) {
    throw new MeshError('CREDENTIAL_CONFLICT', `Send either a credential or ${ON_BEHALF_OF_HEADER}.`);
  }
  const vouched = options.vouching.verify(method, requestHeader.get(ON_BEHALF_OF_HEADER) ?? '');
  await options.revalidate(vouched.principal, vouched.clientIp);
  values.set(vouchedKey, vouched).set(clientIpKey, vouched.clientIp);
}
