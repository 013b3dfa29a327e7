// docker-compose.yml as its processes are told it: variables filled in, shared parts merged.
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parse } from 'yaml';

/** The root of the repository, where docker-compose.yml lies. */
export const ROOT = resolve(import.meta.dirname, '../..');

/** What of a service the tests use; fields as the Compose specification names them. */
export interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly user?: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly hostname?: string;
  readonly profiles?: readonly string[];
  readonly networks: readonly string[] | Readonly<Record<string, { ipv4_address?: string; aliases?: string[] }>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly tmpfs?: readonly string[];
  readonly secrets?: readonly string[];
  readonly healthcheck?: { readonly test: readonly [string, ...string[]] };
  readonly depends_on?: readonly string[] | Readonly<Record<string, { readonly condition: string }>>;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly deploy?: object;
}

/** The whole file. */
export interface ComposeFile {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { ipam?: { config: { subnet: string }[] }; internal?: boolean }>>;
  readonly volumes: Readonly<Record<string, object>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

/** A variable that the file names: `${NAME}`, `${NAME:-default}` or `${NAME:?message}`. */
export interface Reference {
  readonly name: string;
  /** Unset: none. */
  readonly fallback: string | undefined;
  readonly isRequired: boolean;
}

const REFERENCE = /\$\{([A-Z_][A-Z0-9_]*)(?::([-?])([^}]*))?\}/g;

/** All variables that a text names. */
export function referencesIn(text: string): Reference[] {
  return [...text.matchAll(REFERENCE)].map(([, name = '', kind, rest]) => ({
    name,
    fallback: kind === '-' ? rest : undefined,
    isRequired: kind === '?',
  }));
}

/** Reads docker-compose.yml, or another file of its form. @throws Error naming a required variable that is not set. */
export function readComposeFile(variables: Readonly<Record<string, string>>, path = 'docker-compose.yml'): ComposeFile {
  return parse(interpolate(readFileSync(resolve(ROOT, path), 'utf8'), variables), { merge: true }) as ComposeFile;
}

function interpolate(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(REFERENCE, (_, name: string, kind: string | undefined, rest = '') => {
    const value = variables[name];
    if (value) return value;
    if (kind === '?') throw new Error(`${name}: ${rest}`);
    return kind === '-' ? rest : '';
  });
}

/** The variables of a file like deploy/.env. */
export function readVariables(path: string): Record<string, string> {
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [];
  const pairs = lines.flatMap((line) => {
    const [, name, value = ''] = /^([A-Z_][A-Z0-9_]*)=(.*)$/.exec(line) ?? [];
    return name === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(pairs);
}

/** The networks of a service by name, in the longer of the two forms. */
export function networksOf({ networks }: Service): Record<string, { ipv4_address?: string; aliases?: string[] }> {
  return Array.isArray(networks)
    ? Object.fromEntries((networks as readonly string[]).map((name) => [name, {}]))
    : { ...(networks as Record<string, object>) };
}

/** A volume of the short form: `source:target[:ro]`. */
export function volumeParts(volume: string): { source: string; target: string; isReadOnly: boolean } {
  const [source = '', target = '', mode = ''] = volume.split(':');
  return { source, target, isReadOnly: mode.split(',').includes('ro') };
}
