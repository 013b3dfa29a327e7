import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { MethodImpl } from '@connectrpc/connect';
import {
  ExtendResponseSchema,
  type LeaseExtension,
  LeaseExtensionSchema,
  LeaseStanding,
  type QuotaService,
} from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import type { QuotaContext } from '../context.ts';
import { holdMs } from '../hold.ts';
import type { Extended } from '../store/quota-store.ts';

/** Reports progress on many leases, renews them and covers more tokens. */
export function extend(context: QuotaContext): MethodImpl<typeof QuotaService.method.extend> {
  return async ({ leases, holdFor }) => {
    const hold = holdMs(holdFor);
    const extensions = leases.map(async ({ reservationId, promptTokens, completionTokens, wantedCompletionTokens }) => {
      const progress = { promptTokens, completionTokens, wantedTokens: wantedCompletionTokens };
      return extension(reservationId, await context.store.extend(reservationId, progress, hold));
    });
    return create(ExtendResponseSchema, { leases: await Promise.all(extensions) });
  };
}

function extension(reservationId: string, extended: Extended): LeaseExtension {
  if (extended.kind !== 'held') {
    const standing = extended.kind === 'ended' ? LeaseStanding.ENDED : LeaseStanding.UNKNOWN;
    return create(LeaseExtensionSchema, { reservationId, standing });
  }
  return create(LeaseExtensionSchema, {
    reservationId,
    standing: LeaseStanding.HELD,
    expiresAt: timestampFromMs(extended.expiresAtMs),
    coveredCompletionTokens: extended.coveredTokens,
  });
}
