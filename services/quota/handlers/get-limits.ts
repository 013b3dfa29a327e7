import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import { GetLimitsResponseSchema, type QuotaService } from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import type { QuotaContext } from '../context.ts';
import { limitState } from '../limit-message.ts';
import { limitedCaller, requireAdmin } from '../whose.ts';

/** A look, not a call: it would take one request and no tokens. */
const LOOK = { isCounted: true, promptBound: 0, maxCompletionTokens: 0, coveredTokens: 0 };

/** How full the limits of a caller are; takes nothing. */
export function getLimits(context: QuotaContext): MethodImpl<typeof QuotaService.method.getLimits> {
  return async (request, call) => {
    // Whoever names a principal also says its tier, so even one's own name is for admins and peers.
    if (request.principal) requireAdmin(principalOf(call), 'Another caller’s limits');
    const principal = request.principal ?? limitedCaller(principalOf(call));
    const current = await context.limits.fresh();
    const limits = current.of({ principal, clientIp: '', model: '', modelNames: [], engine: '' });
    const statuses = await context.store.inspect(limits, LOOK);
    return create(GetLimitsResponseSchema, {
      limits: statuses.flatMap((status, i) => (limits[i] ? [limitState(limits[i].limit, status)] : [])),
    });
  };
}
