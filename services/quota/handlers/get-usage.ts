import { create } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import type { MethodImpl } from '@connectrpc/connect';
import { type Principal, Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import {
  type GetUsageRequest,
  GetUsageResponseSchema,
  type QuotaService,
  UsageGrouping,
} from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import { hasScope, principalOf } from '../../shared/interceptors/principal.ts';
import type { QuotaContext } from '../context.ts';
import { daysOf, formatDay, sumUsage, type UsageColumn } from '../usage.ts';
import { requireAdmin } from '../whose.ts';

const MAX_DAYS = 3_660;

const COLUMN_OF: ReadonlyMap<UsageGrouping, UsageColumn> = new Map([
  [UsageGrouping.KEY, 'keyId'],
  [UsageGrouping.USER, 'userId'],
  [UsageGrouping.ORGANIZATION, 'organizationId'],
  [UsageGrouping.MODEL, 'model'],
  [UsageGrouping.DAY, 'day'],
]);

/** Sums the usage ledger. */
export function getUsage(context: QuotaContext): MethodImpl<typeof QuotaService.method.getUsage> {
  return async (request, call) => {
    const { first, last } = daysAsked(request, context.now());
    const columns = columnsAsked(request);
    const entries = context.store.usage(first, last, organizationAsked(request, principalOf(call)));
    const sums = await sumUsage(entries, columns);
    return create(GetUsageResponseSchema, {
      rows: sums.map(({ day, requests, promptTokens, completionTokens, ...group }) => ({
        ...group,
        ...(day === undefined ? {} : { day: formatDay(day) }),
        requests: BigInt(requests),
        promptTokens: BigInt(promptTokens),
        completionTokens: BigInt(completionTokens),
      })),
    });
  };
}

function daysAsked({ start, end }: GetUsageRequest, nowMs: number): { first: number; last: number } {
  if (!start) throw invalidField('start', 'is missing');
  const startMs = timestampMs(start);
  const endMs = end ? timestampMs(end) : nowMs;
  if (endMs <= startMs) throw invalidField('end', 'must be later than start');
  const days = daysOf(startMs, endMs);
  if (days.last - days.first >= MAX_DAYS) throw invalidField('start', `must be at most ${MAX_DAYS} days before end`);
  return days;
}

function columnsAsked({ groupBy }: GetUsageRequest): UsageColumn[] {
  return [...new Set(groupBy)].map((grouping) => {
    const column = COLUMN_OF.get(grouping);
    if (!column) throw invalidField('group_by', 'has an unknown column');
    return column;
  });
}

/** The organisation that is summed; undefined: all. */
function organizationAsked({ organizationId }: GetUsageRequest, caller: Principal): string | undefined {
  if (organizationId !== '' && organizationId !== caller.organizationId) requireAdmin(caller, 'Another’s figures');
  if (organizationId !== '') return organizationId;
  return hasScope(caller, Scope.ADMIN) ? undefined : caller.organizationId;
}
