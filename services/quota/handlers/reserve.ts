import { create } from '@bufbuild/protobuf';
import { durationMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { MethodImpl } from '@connectrpc/connect';
import {
  type QuotaService,
  type ReserveRequest,
  ReserveResponseSchema,
} from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { QuotaContext } from '../context.ts';
import { DEFAULT_HOLD_MS, MAX_HOLD_MS } from '../lease.ts';
import { limitState } from '../limits.ts';
import { refusal } from '../refusal.ts';

/** Takes from all limits of the caller, or from none. */
export function reserve(context: QuotaContext): MethodImpl<typeof QuotaService.method.reserve> {
  return async (request) => {
    const { principal, reservationId, operationId, model } = request;
    if (!principal) throw invalidField('principal', 'is missing');
    const limits = context.limits.of(principal);
    const answer = await context.store.reserve({
      reservationId,
      operationId,
      holder: principal,
      model,
      limits,
      isCounted: request.requestAlreadyCounted,
      holdMs: holdMs(request),
    });
    if (answer.kind === 'taken') throw invalidField('reservation_id', 'is in use by another operation');
    if (answer.kind === 'refused') throw refusal(limits, answer.statuses);
    return create(ReserveResponseSchema, {
      expiresAt: timestampFromMs(answer.expiresAtMs),
      heldCompletionTokens: request.maxCompletionTokens,
      limits: answer.statuses.flatMap((status, i) => (limits[i] ? [limitState(limits[i].limit, status)] : [])),
    });
  };
}

function holdMs({ holdFor }: ReserveRequest): number {
  if (!holdFor) return DEFAULT_HOLD_MS;
  const ms = Math.round(durationMs(holdFor));
  if (ms < 1 || ms > MAX_HOLD_MS) throw invalidField('hold_for', 'must be more than 0 and at most 24 hours');
  return ms;
}
