import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { MethodImpl } from '@connectrpc/connect';
import { ListReservationsResponseSchema, type QuotaService } from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import type { QuotaContext } from '../context.ts';

const DEFAULT_PAGE_SIZE = 100;

/** Lists what is held now, the oldest first. */
export function listReservations(context: QuotaContext): MethodImpl<typeof QuotaService.method.listReservations> {
  return async ({ pageSize, pageToken }) => {
    const { leases, next } = await context.store.heldLeases(pageSize || DEFAULT_PAGE_SIZE, pageToken || undefined);
    return create(ListReservationsResponseSchema, {
      reservations: leases.map((lease) => ({
        reservationId: lease.reservationId,
        principal: lease.holder,
        model: lease.model,
        heldTokens: BigInt(lease.heldTokens),
        reportedCompletionTokens: lease.completionTokens,
        reservedAt: timestampFromMs(lease.takenAtMs),
        expiresAt: timestampFromMs(lease.expiresAtMs),
      })),
      nextPageToken: next ?? '',
    });
  };
}
