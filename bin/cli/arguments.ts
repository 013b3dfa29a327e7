import { type Timestamp, timestampFromMs } from '@bufbuild/protobuf/wkt';
import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { usageError } from './exit-code.ts';

/** A whole number within bounds. @throws CliError that names `what`. */
export function wholeNumber(what: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw usageError(what, `expected a whole number from ${least} to ${most}`);
}

/** A number within bounds. @throws CliError that names `what`. */
export function decimalNumber(what: string, text: string, least: number, most: number): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (value >= least && value <= most) return value;
  throw usageError(what, `expected a number from ${least} to ${most}`);
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** A time span such as "90s", "30m", "12h", "7d" or "2w", in milliseconds. @throws CliError that names `what`. */
export function timeSpanMs(what: string, text: string): number {
  const [, count, unit = ''] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  if (count === undefined) throw usageError(what, 'expected a time such as 90s, 30m, 12h, 7d or 2w');
  return Number(count) * (UNIT_MS[unit] ?? 0);
}

/**
 * A moment: "2026-12-31", "2026-12-31T12:00:00Z", or a time span before (`direction` -1) or after (1) now.
 *
 * @throws CliError that names `what`.
 */
export function moment(what: string, text: string, nowMs: number, direction: 1 | -1): Timestamp {
  if (/^\d+[a-z]$/.test(text)) return timestampFromMs(nowMs + direction * timeSpanMs(what, text));
  const isDate = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text);
  const atMs = isDate ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(atMs))
    throw usageError(what, 'expected a time span such as 7d, 2026-12-31, or 2026-12-31T12:00:00Z');
  return timestampFromMs(atMs);
}

/** A list that was given by commas, by repeating the option, or both. */
export function collect(text: string, before: readonly string[] = []): string[] {
  return [
    ...before,
    ...text
      .split(',')
      .map((part) => part.trim())
      .filter(Boolean),
  ];
}

/** The names of scopes as the configuration has them, e.g. "models:read". */
const SCOPES: ReadonlyMap<string, Scope> = new Map(
  (['GENERATE', 'MODELS_READ', 'MODELS_MANAGE', 'KEYS_MANAGE', 'USAGE_READ', 'ADMIN'] as const).map((name) => [
    name.toLowerCase().replace('_', ':'),
    Scope[name],
  ]),
);

/** Their names, for help. */
export const SCOPE_NAMES = [...SCOPES.keys()].join(', ');

/** Scopes by name. @throws CliError when there is no such scope. */
export function scopes(names: readonly string[] = []): Scope[] {
  return names.map((name) => {
    const scope = SCOPES.get(name);
    if (scope === undefined) throw usageError('--scope', `there are ${SCOPE_NAMES}`);
    return scope;
  });
}

/** The names of scopes, for people. */
export function scopeWords(of: readonly Scope[]): string {
  return of.map((scope) => [...SCOPES].find(([, value]) => value === scope)?.[0] ?? String(scope)).join(' ');
}
