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

/** A limit of one subject, or of each subject of its scope: the same for all whom it limits. */
type Kind = Omit<AppliedLimit, 'counter'> & { readonly suffix: string };

/** Joins what is built in, what is configured and what was set at run time, which goes first. */
export function createLimits(config: QuotaConfig, version = 0, set: SetLimits = new Map()): Limits {
  const { named, defaults } = configuredLimits(config);
  for (const [name, definitions] of set) {
    const slash = name.indexOf('/');
    const [scope, subject] = [name.slice(0, slash) as ScopeName, name.slice(slash + 1)];
    named[scope].set(subject, kindsOf(scope, subject, definitions));
  }

  /** What names the subject itself; undefined: nothing does. */
  const naming = (scope: ScopeName, subject: string): readonly Kind[] | undefined => named[scope].get(subject);

  return {
    version,
    of(asker) {
      const { tier } = asker.principal;
      if (!naming('tier', tier)) throw unknownTier(tier);
      const applied: AppliedLimit[] = [];
      for (const scope of SCOPES) {
        const counted = subjectOf(scope, asker);
        if (counted === undefined) continue;
        // Defaults are for those whom nothing else limits; whoever pays for "unlimited" is not among them.
        const hasDefaults = tier !== UNLIMITED || scope === 'model' || scope === 'engine';
        const others = hasDefaults ? defaults[scope] : NONE;
        if (scope === 'model') {
          for (const kind of ofModel(asker, naming) ?? others) applied.push(limitOf(kind, counted));
        } else {
          const kinds = naming(scope, scope === 'tier' ? tier : counted) ?? others;
          for (const kind of kinds) applied.push(limitOf(kind, counted));
        }
      }
      return applied;
    },
    definitionsOf: (scope, subject) => (naming(scope, subject) ?? defaults[scope]).map(({ definition }) => definition),
  };
}

const NONE: readonly Kind[] = [];

/** A limit may name a model by any of its names; undefined: none does. */
function ofModel(
  { model, modelNames }: Asker,
  naming: (scope: ScopeName, name: string) => readonly Kind[] | undefined,
): readonly Kind[] | undefined {
  const kinds = [...new Set([model, ...modelNames])].map((name) => naming('model', name)).filter((found) => !!found);
  return kinds.length > 0 ? kinds.flat() : undefined;
}

function configuredLimits(config: QuotaConfig): {
  readonly named: Readonly<Record<ScopeName, Map<string, readonly Kind[]>>>;
  readonly defaults: Readonly<Record<ScopeName, readonly Kind[]>>;
} {
  const sections: Partial<Record<ScopeName, Readonly<Record<string, LimitFields>>>> = {
    tier: { ...BUILT_IN_TIERS, ...config.tiers },
    key: config.keys,
    user: config.users,
    organization: config.organizations,
    model: config.models,
    engine: config.engines,
  };
  const namedIn = (scope: ScopeName): Map<string, readonly Kind[]> =>
    new Map(
      Object.entries(sections[scope] ?? {}).map(([subject, fields]) => [
        subject,
        kindsOf(scope, subject, definitionsOf(fields)),
      ]),
    );
  const ofEach = (scope: ScopeName, fields: LimitFields): readonly Kind[] => kindsOf(scope, '', definitionsOf(fields));
  return {
    named: {
      tier: namedIn('tier'),
      key: namedIn('key'),
      user: namedIn('user'),
      organization: namedIn('organization'),
      model: namedIn('model'),
      engine: namedIn('engine'),
      client_ip: namedIn('client_ip'),
    },
    defaults: {
      tier: NONE,
      key: NONE,
      user: ofEach('user', config.user_defaults),
      organization: ofEach('organization', config.organization_defaults),
      model: ofEach('model', config.model_defaults),
      engine: ofEach('engine', config.engine_defaults),
      client_ip: ofEach('client_ip', config.per_ip),
    },
  };
}

/** `subject` empty: each one of the scope by itself. */
function kindsOf(scope: ScopeName, subject: string, definitions: readonly LimitDefinition[]): readonly Kind[] {
  return definitions.map((definition) => {
    const { unit, window, rule } = definition;
    const suffix = `/${scope}:${unit}:${window}`;
    return { scope, definition, unit, rule, suffix, limit: limitMessage(scope, subject, definition) };
  });
}

/**
 * The counter has no name of a tier or a default in it: who changes between them keeps what was consumed. The subject stands
 * first, so that the counters of one subject lie together.
 */
function limitOf({ scope, definition, unit, rule, limit, suffix }: Kind, counted: string): AppliedLimit {
  return { scope, definition, unit, rule, limit, counter: counted + suffix };
}

function unknownTier(tier: Principal['tier']): MeshError {
  return new MeshError('CONFLICT', `The tier '${tier}' of this caller has no limits. Add it under quota.tiers.`, {
    metadata: { kind: 'tier', id: tier },
  });
}
