import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { MethodImpl } from '@connectrpc/connect';
import type { QuotaService, ReserveRequest } from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { invalidField, MeshError } from '../../shared/errors/mesh-error.ts';
import type { QuotaContext } from '../context.ts';
import { holdMs } from '../hold.ts';
import { limitState } from '../limit-message.ts';
import type { AppliedLimit } from '../limits.ts';
import { refusal } from '../refusal.ts';
import type { Reserved } from '../store/quota-store.ts';
import { reservationEnded } from './ending.ts';

/** How often limits may change under a reservation before it is given up. */
const MAX_ATTEMPTS = 5;

/** Takes from all limits of the caller, or from none. */
export function reserve(context: QuotaContext): MethodImpl<typeof QuotaService.method.reserve> {
  return async (request) => {
    const { limits, reserved } = await reserveWithLatest(context, request);
    switch (reserved.kind) {
      case 'admitted':
        context.metrics?.admitted();
        return {
          $typeName: 'mesh.quota.v1.ReserveResponse',
          expiresAt: timestampFromMs(reserved.expiresAtMs),
          coveredCompletionTokens: reserved.coveredTokens,
          limits: reserved.statuses.flatMap((status, i) => (limits[i] ? [limitState(limits[i].limit, status)] : [])),
        };
      case 'refused':
        context.metrics?.refused(limits, reserved.statuses);
        throw refusal(limits, reserved.statuses);
      case 'taken':
        throw invalidField('reservation_id', 'is in use by another operation');
      case 'ended':
        throw reservationEnded(request.reservationId, reserved.state);
      case 'stale':
        throw new MeshError('CONFLICT', 'The limits change faster than they can be read. Try again.', {
          metadata: { kind: 'limits', id: '' },
        });
    }
  };
}

/** The store knows whether the limits that we know are the latest; where not, they are read and it is asked again. */
async function reserveWithLatest(
  context: QuotaContext,
  request: ReserveRequest,
): Promise<{ limits: readonly AppliedLimit[]; reserved: Reserved }> {
  const { principal, maxCompletionTokens } = request;
  if (!principal) throw invalidField('principal', 'is missing');
  let current = context.limits.latest;
  for (let attempt = 1; ; attempt += 1) {
    const limits = current.of({ ...request, principal });
    const reserved = await context.store.reserve({
      reservationId: request.reservationId,
      operationId: request.operationId,
      holder: principal,
      model: request.model,
      limits,
      limitsVersion: current.version,
      isCounted: !request.requestAlreadyCounted,
      promptBound: request.promptTokens,
      maxCompletionTokens,
      coveredTokens: Math.min(maxCompletionTokens, context.reserveWindowTokens),
      holdMs: holdMs(request.holdFor),
    });
    if (reserved.kind !== 'stale' || attempt === MAX_ATTEMPTS) return { limits, reserved };
    current = await context.limits.reload();
  }
}
