import type { ConnectRouter } from '@connectrpc/connect';
import { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import type { QuotaContext } from './context.ts';
import { explainLimits } from './handlers/explain-limits.ts';
import { extend } from './handlers/extend.ts';
import { getLimits } from './handlers/get-limits.ts';
import { getUsage } from './handlers/get-usage.ts';
import { listReservations } from './handlers/list-reservations.ts';
import { release } from './handlers/release.ts';
import { reserve } from './handlers/reserve.ts';
import { setLimits } from './handlers/set-limits.ts';
import { settle } from './handlers/settle.ts';

/** The service of quota. */
export function quotaRoutes(context: QuotaContext): (router: ConnectRouter) => void {
  return (router) => {
    router.service(QuotaService, {
      reserve: reserve(context),
      extend: extend(context),
      settle: settle(context),
      release: release(context),
      getLimits: getLimits(context),
      setLimits: setLimits(context),
      getUsage: getUsage(context),
      listReservations: listReservations(context),
      explainLimits: explainLimits(context),
    });
  };
}
