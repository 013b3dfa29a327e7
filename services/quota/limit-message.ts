import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import {
  type Limit,
  LimitSchema,
  LimitScope,
  type LimitState,
  LimitStateSchema,
  LimitUnit,
  LimitWindow,
} from '../../gen/mesh/quota/v1/limit_pb.ts';
import { invalidField } from '../shared/errors/mesh-error.ts';
import type { LimitStatus } from './budget.ts';
import type { Unit } from './lease.ts';
import {
  bucketLimit,
  type ConcurrentUnit,
  type CountedUnit,
  concurrencyLimit,
  type LimitDefinition,
  largestMaximum,
  MAX_BUCKET,
  type Period,
  periodLimit,
  type Window,
} from './limit-definition.ts';
import type { ScopeName } from './subjects.ts';

const SCOPE: Readonly<Record<ScopeName, LimitScope>> = {
  tier: LimitScope.TIER,
  key: LimitScope.KEY,
  user: LimitScope.USER,
  organization: LimitScope.ORGANIZATION,
  model: LimitScope.MODEL,
  engine: LimitScope.ENGINE,
  client_ip: LimitScope.CLIENT_IP,
};

const UNIT: Readonly<Record<Unit, LimitUnit>> = {
  requests: LimitUnit.REQUESTS,
  prompt_tokens: LimitUnit.PROMPT_TOKENS,
  completion_tokens: LimitUnit.COMPLETION_TOKENS,
  tokens: LimitUnit.TOKENS,
  concurrent_requests: LimitUnit.CONCURRENT_REQUESTS,
  concurrent_context_tokens: LimitUnit.CONCURRENT_CONTEXT_TOKENS,
};

const WINDOW: Readonly<Record<Window, LimitWindow>> = {
  none: LimitWindow.UNSPECIFIED,
  second: LimitWindow.SECOND,
  minute: LimitWindow.MINUTE,
  hour: LimitWindow.HOUR,
  day: LimitWindow.DAY,
  month: LimitWindow.MONTH,
  bucket: LimitWindow.BUCKET,
};

/** A limit as callers see it; `subject` empty: each one of the scope by itself. */
export function limitMessage(scope: ScopeName, subject: string, { unit, window, rule }: LimitDefinition): Limit {
  const isBucket = rule.kind === 'bucket';
  return create(LimitSchema, {
    id: [scope, subject, unit, window === 'none' ? '' : window].filter(Boolean).join(':'),
    scope: SCOPE[scope],
    unit: UNIT[unit],
    window: WINDOW[window],
    maximum: BigInt(isBucket ? rule.refillPerMinute : rule.maximum),
    burst: BigInt(isBucket ? rule.burst : 0),
    subject,
  });
}

/** How full a limit is, as callers see it. */
export function limitState(limit: Limit, { remaining, held, resetAfterMs }: LimitStatus): LimitState {
  return create(LimitStateSchema, {
    limit,
    remaining: BigInt(remaining),
    held: BigInt(held),
    resetAfter: durationFromMs(resetAfterMs),
  });
}

/** The scope of a message. @throws MeshError INVALID_FIELD for one whose subjects cannot have limits of their own. */
export function scopeOf(scope: LimitScope): ScopeName {
  const name = nameOf(SCOPE, scope);
  if (name === undefined || name === 'client_ip') {
    throw invalidField(
      'scope',
      'must be a tier, key, user, organization, model or engine; addresses have quota.per_ip',
    );
  }
  return name;
}

/**
 * The limit that a message stands for; `field` names the message in errors.
 *
 * @throws MeshError INVALID_FIELD when unit and window do not fit, or a number is out of range.
 */
export function definitionOf(limit: Limit, field: string): LimitDefinition {
  const unit = nameOf(UNIT, limit.unit);
  const window = nameOf(WINDOW, limit.window);
  if (unit === undefined || window === undefined) throw invalidField(field, 'unit or window is unknown');
  const isConcurrent = unit === 'concurrent_requests' || unit === 'concurrent_context_tokens';
  if (isConcurrent !== (window === 'none')) {
    throw invalidField(`${field}.window`, isConcurrent ? 'must be unset for what runs at once' : 'must be set');
  }
  const maximum = bounded(limit.maximum, largestMaximum(window), `${field}.maximum`);
  if (window === 'bucket') {
    const burst = bounded(limit.burst, MAX_BUCKET, `${field}.burst`);
    if (burst < 1 || maximum < 1) throw invalidField(field, 'a bucket needs a maximum and a burst of at least 1');
    return bucketLimit(unit as CountedUnit, maximum, burst);
  }
  if (limit.burst > 0n) throw invalidField(`${field}.burst`, 'is for buckets only');
  return window === 'none'
    ? concurrencyLimit(unit as ConcurrentUnit, maximum)
    : periodLimit(unit as CountedUnit, window as Period, maximum);
}

function bounded(value: bigint, largest: number, field: string): number {
  if (value > BigInt(largest)) throw invalidField(field, `must be at most ${largest}`);
  return Number(value);
}

function nameOf<Name extends string>(names: Readonly<Record<Name, number>>, value: number): Name | undefined {
  return (Object.keys(names) as Name[]).find((name) => names[name] === value);
}
