import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import {
  type QuotaService,
  type SetLimitsRequest,
  SetLimitsResponseSchema,
} from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { QuotaContext } from '../context.ts';
import { hiddenLimit, type LimitDefinition } from '../limit-definition.ts';
import { definitionOf, limitMessage, scopeOf } from '../limit-message.ts';
import type { ScopeName } from '../subjects.ts';
import { UNLIMITED } from '../tiers.ts';

/** Replaces the limits of a subject. */
export function setLimits(context: QuotaContext): MethodImpl<typeof QuotaService.method.setLimits> {
  return async (request) => {
    const scope = scopeOf(request.scope);
    const { subject } = request;
    if (scope === 'tier') requireTier(subject, context.tiers);
    const limits = await context.limits.set(scope, subject, definitionsOf(request, scope));
    return create(SetLimitsResponseSchema, {
      limits: limits.definitionsOf(scope, subject).map((definition) => limitMessage(scope, subject, definition)),
    });
  };
}

function definitionsOf({ scope, subject, limits }: SetLimitsRequest, name: ScopeName): LimitDefinition[] {
  const definitions = limits.map((limit, i) => {
    if (limit.scope !== scope) throw invalidField(`limits[${i}].scope`, `must be that of the request, ${name}`);
    if (limit.subject !== '' && limit.subject !== subject) {
      throw invalidField(`limits[${i}].subject`, 'must be that of the request, or empty');
    }
    return definitionOf(limit, `limits[${i}]`);
  });
  const ids = definitions.map(({ unit, window }) => `${unit} per ${window}`);
  const twice = ids.findIndex((id, i) => ids.indexOf(id) < i);
  if (twice >= 0) throw invalidField(`limits[${twice}]`, 'has the unit and window of an earlier one');
  const found = hiddenLimit(definitions);
  if (found) {
    const at = definitions.indexOf(found.hidden);
    throw invalidField(`limits[${at}].maximum`, `is never reached, because that per ${found.by.window} is lower`);
  }
  return definitions;
}

function requireTier(tier: string, tiers: ReadonlySet<string>): void {
  if (tier === UNLIMITED) throw invalidField('subject', 'the tier "unlimited" has no limits and keeps none');
  if (!tiers.has(tier)) throw invalidField('subject', `there is no tier '${tier}'; there are ${[...tiers].join(', ')}`);
}
