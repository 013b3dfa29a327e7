import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import { type QuotaService, ReleaseResponseSchema } from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import type { QuotaContext } from '../context.ts';
import { endedAtMs } from './ending.ts';

/** Ends a lease as if it had never been. */
export function release(context: QuotaContext): MethodImpl<typeof QuotaService.method.release> {
  return async ({ reservationId }) => {
    endedAtMs(reservationId, await context.store.release(reservationId));
    return create(ReleaseResponseSchema);
  };
}
