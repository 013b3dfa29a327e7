import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import { CredentialKind, type Principal, Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { GetLimitsResponseSchema, type QuotaService } from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { invalidField, MeshError } from '../../shared/errors/mesh-error.ts';
import { hasScope, principalOf } from '../../shared/interceptors/principal.ts';
import type { QuotaContext } from '../context.ts';
import { limitState } from '../limits.ts';

/** How full the limits of a caller are; takes nothing. */
export function getLimits(context: QuotaContext): MethodImpl<typeof QuotaService.method.getLimits> {
  return async (request, call) => {
    const limits = context.limits.of(whose(principalOf(call), request.principal));
    const statuses = await context.store.inspect(limits);
    return create(GetLimitsResponseSchema, {
      limits: statuses.flatMap((status, i) => (limits[i] ? [limitState(limits[i].limit, status)] : [])),
    });
  };
}

/** Whoever names a principal also says its tier, so even one's own name is for admins and peers. */
function whose(caller: Principal, asked: Principal | undefined): Principal {
  if (!asked) {
    if (caller.kind === CredentialKind.PEER) throw invalidField('principal', 'a process of the mesh has no limits');
    return caller;
  }
  if (hasScope(caller, Scope.ADMIN)) return asked;
  throw new MeshError('SCOPE_MISSING', 'Another caller’s limits need the scope "admin".', {
    metadata: { scope: 'admin' },
  });
}
