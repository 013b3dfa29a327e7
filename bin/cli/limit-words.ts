import { create } from '@bufbuild/protobuf';
import {
  type Limit,
  LimitSchema,
  LimitScope,
  LimitScopeSchema,
  LimitUnit,
  LimitUnitSchema,
  LimitWindow,
  LimitWindowSchema,
} from '../../gen/mesh/quota/v1/limit_pb.ts';
import { usageError } from './exit-code.ts';
import { countWord, enumWord } from './output/words.ts';

/** Whose limits can be set, as the command line has them. */
export const SUBJECT_KINDS: ReadonlyMap<string, LimitScope> = new Map([
  ['key', LimitScope.KEY],
  ['user', LimitScope.USER],
  ['org', LimitScope.ORGANIZATION],
  ['tier', LimitScope.TIER],
  ['model', LimitScope.MODEL],
  ['engine', LimitScope.ENGINE],
]);

const CONCURRENT: Readonly<Record<string, LimitUnit>> = {
  concurrent_requests: LimitUnit.CONCURRENT_REQUESTS,
  concurrent_context_tokens: LimitUnit.CONCURRENT_CONTEXT_TOKENS,
};
const FORM =
  'expected e.g. requests_per_minute=30, tokens_per_day=1000000, concurrent_requests=4 or requests_bucket=60:10 (refill per minute, burst)';

/** A limit as the configuration file names it, e.g. "requests_per_minute=30". @throws CliError that says the form. */
export function parseLimit(text: string, scope: LimitScope): Limit {
  const [, name = '', maximum = '', burst] = /^([a-z_]+)=(\d{1,18})(?::(\d{1,18}))?$/.exec(text) ?? [];
  const [, unitName = '', windowName] = /^(.+?)(?:_per_(second|minute|hour|day|month)|_(bucket))?$/.exec(name) ?? [];
  const isBucket = name.endsWith('_bucket');
  const concurrent = CONCURRENT[name];
  const counted = LimitUnit[unitName.toUpperCase() as keyof typeof LimitUnit] as LimitUnit | undefined;
  const isConcurrentName = Object.hasOwn(CONCURRENT, unitName);
  const isKnown = concurrent ?? (windowName || isBucket ? !isConcurrentName && counted : undefined);
  if (!isKnown || isBucket !== (burst !== undefined)) throw usageError('a limit', FORM);
  return create(LimitSchema, {
    id: name,
    scope,
    unit: isKnown,
    window: isBucket
      ? LimitWindow.BUCKET
      : windowName
        ? LimitWindow[windowName.toUpperCase() as 'MINUTE']
        : LimitWindow.UNSPECIFIED,
    maximum: BigInt(maximum),
    burst: BigInt(burst ?? 0),
  });
}

/** What a limit counts and over which time, e.g. "requests per minute". */
export function limitWord({ unit, window }: Limit): string {
  const what = enumWord(LimitUnitSchema, unit);
  if (window === LimitWindow.UNSPECIFIED) return what;
  return window === LimitWindow.BUCKET ? `${what} in a bucket` : `${what} per ${enumWord(LimitWindowSchema, window)}`;
}

/** Whose consumption it counts, e.g. "tier standard" or "each key". */
export function whoseWord({ scope, subject }: Limit): string {
  const kind = enumWord(LimitScopeSchema, scope);
  return subject === '' ? `each ${kind}` : `${kind} ${subject}`;
}

/** The most that it allows. */
export function maximumWord({ maximum, burst, window }: Limit): string {
  return window === LimitWindow.BUCKET
    ? `${countWord(burst)}, refilled by ${countWord(maximum)} a minute`
    : countWord(maximum);
}
