import { LRUCache } from 'lru-cache';
import type { Principal } from '../../gen/mesh/auth/v1/principal_pb.ts';
import type { Limit } from '../../gen/mesh/quota/v1/limit_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import type { QuotaConfig } from './config.ts';
import { definitionsOf, type LimitFields } from './limit-config.ts';
import type { LimitDefinition } from './limit-definition.ts';
import { limitMessage } from './limit-message.ts';
import type { Counted } from './store/quota-store.ts';
import { type Asker, SCOPES, type ScopeName, subjectOf } from './subjects.ts';
import { BUILT_IN_TIERS, UNLIMITED } from './tiers.ts';

/** A limit that applies to one caller. */
export interface AppliedLimit extends Counted {
  readonly scope: ScopeName;
  readonly definition: LimitDefinition;
  /** The rule as callers see it. Shared, read-only. */
  readonly limit: Limit;
}

/** Which limits apply. */
export interface Limits {
  /** The version of the limits of subjects that these were made with. */
  readonly version: number;
  /**
   * The limits of a call, in the order in which a refusal names them.
   *
   * @throws MeshError CONFLICT for a tier that nobody configured: unknown limits are not no limits.
   */
  of(asker: Asker): readonly AppliedLimit[];
  /** The limits of one subject as they are set or configured for it alone, else the defaults of its scope. */
  definitionsOf(scope: ScopeName, subject: string): readonly LimitDefinition[];
}

/** Limits that were set at run time, by scope and then subject; see SubjectLimits. */
export type SetLimits = ReadonlyMap<string, readonly LimitDefinition[]>;

/** The name under which the limits of a subject are set. */
export function subjectName(scope: ScopeName, subject: string): string {
  return `${scope}/${subject}`;
}

/** Callers whose limits are remembered, so that nothing is built anew per request. */
const REMEMBERED = 20_000;

/** Joins what is built in, what is configured and what was set at run time, which goes first. */
export function createLimits(config: QuotaConfig, version = 0, set: SetLimits = new Map()): Limits {
  const configured = configuredLimits(config);
  const remembered = new LRUCache<string, readonly AppliedLimit[]>({ max: REMEMBERED });

  /** What names the subject itself; undefined: nothing does. */
  const named = (scope: ScopeName, name: string): readonly LimitDefinition[] | undefined =>
    set.get(subjectName(scope, name)) ?? configured.named.get(subjectName(scope, name));

  function apply(scope: ScopeName, name: string, counted: string, isDefault: boolean): readonly AppliedLimit[] {
    const key = `${scope}/${isDefault}/${name}/${counted}`;
    const known = remembered.get(key);
    if (known) return known;
    const definitions = named(scope, name) ?? (isDefault ? configured.defaults[scope] : []);
    const applied = definitions.map((definition) => appliedLimit(scope, name, counted, definition));
    remembered.set(key, applied);
    return applied;
  }

  return {
    version,
    of(asker) {
      const { tier } = asker.principal;
      if (!named('tier', tier)) throw unknownTier(tier);
      const applied: AppliedLimit[] = [];
      for (const scope of SCOPES) {
        const counted = subjectOf(scope, asker);
        if (counted === undefined) continue;
        // Defaults are for those whom nothing else limits; whoever pays for "unlimited" is not among them.
        const hasDefaults = tier !== UNLIMITED || scope === 'model' || scope === 'engine';
        const names = scope === 'tier' ? [tier] : scope === 'model' ? namesOf(asker, named) : [counted];
        for (const name of names) applied.push(...apply(scope, name, counted, hasDefaults));
      }
      return applied;
    },
    definitionsOf: (scope, subject) => named(scope, subject) ?? configured.defaults[scope],
  };
}

/** A limit may name a model by any of its names; without one the defaults apply, once. */
function namesOf({ model, modelNames }: Asker, named: (scope: ScopeName, name: string) => unknown): readonly string[] {
  const names = [...new Set([model, ...modelNames])].filter((name) => named('model', name));
  return names.length > 0 ? names : [model];
}

function configuredLimits(config: QuotaConfig): {
  readonly named: SetLimits;
  readonly defaults: Readonly<Record<ScopeName, readonly LimitDefinition[]>>;
} {
  const sections: Partial<Record<ScopeName, Readonly<Record<string, LimitFields>>>> = {
    tier: { ...BUILT_IN_TIERS, ...config.tiers },
    key: config.keys,
    user: config.users,
    organization: config.organizations,
    model: config.models,
    engine: config.engines,
  };
  const named = new Map<string, readonly LimitDefinition[]>();
  for (const [scope, section] of Object.entries(sections)) {
    for (const [subject, fields] of Object.entries(section)) {
      named.set(subjectName(scope as ScopeName, subject), definitionsOf(fields));
    }
  }
  return {
    named,
    defaults: {
      tier: [],
      key: [],
      user: definitionsOf(config.user_defaults),
      organization: definitionsOf(config.organization_defaults),
      model: definitionsOf(config.model_defaults),
      engine: definitionsOf(config.engine_defaults),
      client_ip: definitionsOf(config.per_ip),
    },
  };
}

/**
 * The counter has no name of a tier or a default in it: who changes between them keeps what was consumed. Its subject comes
 * first, so that the counters of one lie together in the embedded store.
 */
function appliedLimit(scope: ScopeName, subject: string, counted: string, definition: LimitDefinition): AppliedLimit {
  const { unit, window, rule } = definition;
  const counter = `${counted}/${scope}:${unit}:${window}`;
  return { scope, definition, unit, rule, counter, limit: limitMessage(scope, subject, definition) };
}

function unknownTier(tier: Principal['tier']): MeshError {
  return new MeshError('CONFLICT', `The tier '${tier}' of this caller has no limits. Add it under quota.tiers.`, {
    metadata: { kind: 'tier', id: tier },
  });
}
