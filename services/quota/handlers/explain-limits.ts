import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { MethodImpl } from '@connectrpc/connect';
import { ExplainLimitsResponseSchema, type QuotaService } from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { clientIpKey } from '../../shared/interceptors/client-ip.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import type { QuotaContext } from '../context.ts';
import { limitState } from '../limit-message.ts';
import { longestWaitMs, refusing } from '../refusal.ts';
import { limitedCaller, requireAdmin } from '../whose.ts';

/** What Reserve would answer; takes nothing. */
export function explainLimits(context: QuotaContext): MethodImpl<typeof QuotaService.method.explainLimits> {
  return async ({ promptTokens, maxCompletionTokens, clientIp, ...asked }, call) => {
    const principal = limitedCaller(principalOf(call));
    const ownIp = call.values.get(clientIpKey) ?? '';
    if (clientIp !== '' && clientIp !== ownIp) requireAdmin(principal, 'Another address’s limits');
    const current = await context.limits.fresh();
    const limits = current.of({ ...asked, principal, clientIp: clientIp || ownIp });
    const coveredTokens = Math.min(maxCompletionTokens, context.reserveWindowTokens);
    const demand = { isCounted: true, promptBound: promptTokens, maxCompletionTokens, coveredTokens };
    const statuses = await context.store.inspect(limits, demand);
    const refusedBy = refusing(limits, statuses);
    return create(ExplainLimitsResponseSchema, {
      allowed: refusedBy.length === 0,
      limits: statuses.flatMap((status, i) => (limits[i] ? [limitState(limits[i].limit, status)] : [])),
      refusedBy,
      ...(refusedBy.length > 0 ? { retryAfter: durationFromMs(longestWaitMs(statuses)) } : {}),
    });
  };
}
