import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { CredentialKind, type Principal } from '../../gen/mesh/auth/v1/principal_pb.ts';
import {
  type Limit,
  LimitSchema,
  LimitScope,
  type LimitState,
  LimitStateSchema,
  LimitUnit,
  LimitWindow,
} from '../../gen/mesh/quota/v1/limit_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import type { LimitStatus, Rule } from './budget.ts';
import type { QuotaConfig } from './config.ts';
import { BUILT_IN_TIERS, rulesOf, type TierRule } from './tiers.ts';

/** A limit that applies to one caller. */
export interface AppliedLimit {
  readonly rule: Rule;
  /** Names the counter of this limit for this caller. */
  readonly counter: string;
  /** The rule as callers see it. Shared, read-only. */
  readonly limit: Limit;
  /** What a refusal by it says. */
  readonly refusal: string;
}

/** Which limits a caller has. */
export interface Limits {
  /**
   * The limits of a caller, in the order in which a refusal names them.
   *
   * @throws MeshError CONFLICT for a tier that nobody configured: unknown limits are not no limits.
   */
  of(principal: Principal): AppliedLimit[];
}

type TierLimit = Omit<AppliedLimit, 'counter'>;

const WINDOWS = { minute: LimitWindow.MINUTE, hour: LimitWindow.HOUR, bucket: LimitWindow.BUCKET } as const;

/** Joins the built-in tiers with those of the configuration. */
export function createLimits(config: QuotaConfig): Limits {
  const tiers = new Map<string, TierLimit[]>();
  for (const [name, tier] of Object.entries({ ...BUILT_IN_TIERS, ...config.tiers })) {
    tiers.set(
      name,
      rulesOf(tier).map((rule) => tierLimit(name, rule)),
    );
  }
  return {
    of(principal) {
      const limits = tiers.get(principal.tier);
      if (!limits) throw unknownTier(principal.tier);
      const subject = subjectOf(principal);
      return limits.map((limit) => ({ ...limit, counter: `${limit.limit.id}/${subject}` }));
    },
  };
}

/** How full a limit is, as callers see it. */
export function limitState(limit: Limit, status: LimitStatus): LimitState {
  return create(LimitStateSchema, {
    limit,
    remaining: BigInt(status.remaining),
    resetAfter: durationFromMs(status.resetAfterMs),
  });
}

/** Whose consumption counts together. Each login makes a new token, so tokens count under their user. */
function subjectOf(principal: Principal): string {
  return principal.kind === CredentialKind.ACCESS_TOKEN ? `user:${principal.userId}` : `key:${principal.keyId}`;
}

function tierLimit(tier: string, { rule, period, text }: TierRule): TierLimit {
  const limit = create(LimitSchema, {
    id: `tier:${tier}:requests:${period}`,
    scope: LimitScope.TIER,
    unit: LimitUnit.REQUESTS,
    window: WINDOWS[period],
    maximum: BigInt(rule.kind === 'bucket' ? rule.refillPerMinute : rule.maximum),
    burst: BigInt(rule.kind === 'bucket' ? rule.burst : 0),
    subject: tier,
  });
  return { rule, limit, refusal: `Rate limit exceeded. Maximum ${text} allowed for tier '${tier}'.` };
}

function unknownTier(tier: string): MeshError {
  return new MeshError('CONFLICT', `The tier '${tier}' of this caller has no limits. Add it under quota.tiers.`, {
    metadata: { kind: 'tier', id: tier },
  });
}
