import { type Document, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';

/** The configuration is wrong; the process ends with exit code 78. The message names file, line and field. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

type Path = readonly (string | number)[];

/** An entry of a list of the file. */
export interface NamedEntry {
  readonly name: string;
  readonly [field: string]: unknown;
}

/** Raw configuration and where each value came from. */
export interface Source {
  /** The values, not yet validated. */
  readonly values: Record<string, unknown>;
  /**
   * Sets a value from the first of `candidates` (name of flag or variable → text) that is given; an empty text counts as
   * not given.
   */
  override(
    path: readonly [string, string],
    candidates: Record<string, string | undefined>,
    parse?: (text: string) => unknown,
  ): void;
  /** Whether a value is given. */
  has(path: readonly [string, string]): boolean;
  /**
   * Adds an entry to a list, or sets its fields in the one that has its name; `origin` names it in messages.
   *
   * @throws ConfigError when the one that has its name contradicts it in `kind`.
   */
  addEntry(path: readonly [string, string], entry: NamedEntry, kind: string, origin: string): void;
  /** Where the value at `path` came from, for messages: "mesh.yaml:12" or "--port". */
  origin(path: Path): string;
}

/**
 * Parses a YAML or JSON file.
 *
 * @throws ConfigError for a syntax error, with its line.
 */
export function parseConfigFile(fileName: string, text: string): Source {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [syntaxError] = document.errors;
  if (syntaxError)
    throw new ConfigError(`${fileName}:${lines.linePos(syntaxError.pos[0]).line}: ${syntaxError.message}`);
  const values: unknown = document.toJS() ?? {};
  if (typeof values !== 'object' || values === null || Array.isArray(values)) {
    throw new ConfigError(`${fileName}:1: expected sections such as "server:" and "inference:"`);
  }
  return createSource(fileName, values as Record<string, unknown>, (path) => lineOf(document, lines, path));
}

/**
 * Validates the source.
 *
 * @throws ConfigError that lists every wrong field.
 */
export function validate<S extends z.ZodType>(schema: S, source: Source): z.output<S> {
  const result = schema.safeParse(source.values);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
    const where = issue.code === 'unrecognized_keys' ? [...path, issue.keys[0] ?? ''] : path;
    return `${source.origin(where)}: ${where.join('.') || '(file)'}: ${issue.message}`;
  });
  throw new ConfigError(problems.join('\n'));
}

function createSource(
  fileName: string,
  values: Record<string, unknown>,
  line: (path: Path) => number | undefined,
): Source {
  const overridden = new Map<string, string>();
  return {
    values,
    override([section, field], candidates, parse = (text) => text) {
      const given = Object.entries(candidates).find(([, text]) => text !== undefined && text !== '');
      if (!given) return;
      const [name, text] = given;
      values[section] = { ...fieldsOf(values[section]), [field]: parse(text ?? '') };
      overridden.set(`${section}.${field}`, name);
    },
    has: ([section, field]) => fieldsOf(values[section])[field] !== undefined,
    addEntry([section, field], entry, kind, origin) {
      const before = fieldsOf(values[section])[field] ?? [];
      // What is no list there is refused as such when all is validated.
      if (!Array.isArray(before)) return;
      const place = before.findIndex((other) => fieldsOf(other).name === entry.name);
      const same = fieldsOf(before[place]);
      if (place >= 0 && same[kind] !== entry[kind]) {
        throw new ConfigError(
          `${origin}: ${section}.${field} has another '${entry.name}', of ${kind} ${JSON.stringify(same[kind])}; rename that or unset ${origin}`,
        );
      }
      const joined = place < 0 ? [...before, entry] : before.with(place, { ...same, ...entry });
      values[section] = { ...fieldsOf(values[section]), [field]: joined };
      if (place < 0) overridden.set(`${section}.${field}.${before.length}`, origin);
    },
    origin(path) {
      const name = overridden.get(path.slice(0, 2).join('.')) ?? overridden.get(path.slice(0, 3).join('.'));
      if (name !== undefined) return name;
      const number = line(path);
      return number === undefined ? fileName : `${fileName}:${number}`;
    },
  };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** The line of the innermost node on the path that the file has. */
function lineOf(document: Document, lines: LineCounter, path: Path): number | undefined {
  for (let length = path.length; length > 0; length -= 1) {
    const node = document.getIn(path.slice(0, length), true);
    const start = (node as { range?: [number, number, number] } | undefined)?.range?.[0];
    if (start !== undefined) return lines.linePos(start).line;
  }
  return undefined;
}
