import type { ConnectRouter } from '@connectrpc/connect';
import { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import type { QuotaContext } from './context.ts';
import { getLimits } from './handlers/get-limits.ts';
import { release } from './handlers/release.ts';
import { reserve } from './handlers/reserve.ts';
import { settle } from './handlers/settle.ts';

/** The service of quota. Methods that are left out answer UNIMPLEMENTED. */
export function quotaRoutes(context: QuotaContext): (router: ConnectRouter) => void {
  return (router) => {
    router.service(QuotaService, {
      reserve: reserve(context),
      settle: settle(context),
      release: release(context),
      getLimits: getLimits(context),
    });
  };
}
