import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { MethodImpl } from '@connectrpc/connect';
import type { QuotaService } from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import type { QuotaContext } from '../context.ts';
import { endedAtMs } from './ending.ts';

/** Ends a lease with what was used. */
export function settle(context: QuotaContext): MethodImpl<typeof QuotaService.method.settle> {
  return async ({ reservationId, promptTokens, completionTokens, engine }) => {
    const ended = await context.store.settle(reservationId, { promptTokens, completionTokens, engine });
    return {
      $typeName: 'mesh.quota.v1.SettleResponse',
      settledAt: timestampFromMs(endedAtMs(reservationId, ended)),
    };
  };
}
