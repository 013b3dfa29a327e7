import { readFileSync, statSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { ConfigError } from './config-source.ts';

/** Where a line sets a variable, and how its value begins. */
const ASSIGNMENT = /^\s*(?:export\s+)?[A-Za-z_][A-Za-z0-9_]*[ \t]*=[ \t]*(["'`]?)/;

/** Nothing, or a comment. */
const NOTHING = /^\s*(?:#.*\s*)?$/;

/**
 * The environment with the variables of a file below it: what the environment has, an empty text included, stays. Without the
 * file, or where a directory has its name, the environment alone.
 *
 * @throws ConfigError that names file and line and quotes nothing, since a line may hold a secret.
 */
export function withEnvironmentFile(path: string, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const text = textOf(path);
  if (text === undefined) return env;
  requireAssignments(path, text);
  return { ...parseEnv(text), ...env };
}

function textOf(path: string): string | undefined {
  // E.g. of a virtual environment of Python.
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return undefined;
  try {
    return readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
  } catch (error) {
    throw new ConfigError(`${path}: cannot be read (${error instanceof Error ? error.message : String(error)})`);
  }
}

/** The parser skips in silence what it does not understand: a setting with a slip of the pen would not be there. */
function requireAssignments(path: string, text: string): void {
  for (let at = 0, line = 1; at < text.length; ) {
    const length = statementLength(text.slice(at));
    if (typeof length === 'string') throw new ConfigError(`${path}:${line}: ${length}`);
    line += text.slice(at, at + length).split('\n').length - 1;
    at += length;
  }
}

/** How many characters the first line of a text has, or its first value of several lines with what is around; or what is wrong. */
function statementLength(text: string): number | string {
  const end = endOfLine(text, 0);
  const first = text.slice(0, end);
  if (NOTHING.test(first)) return end;
  const [head, quote] = ASSIGNMENT.exec(first) ?? [];
  if (head === undefined) return 'expected NAME=value, or # before a comment';
  if (!quote) return end;
  const closing = text.indexOf(quote, head.length);
  if (closing < 0) return `the value begins with ${quote} and does not end with it`;
  const last = endOfLine(text, closing);
  if (NOTHING.test(text.slice(closing + 1, last))) return last;
  return `something follows the ${quote} that ends the value; a value that holds one kind of quotes goes into another`;
}

function endOfLine(text: string, from: number): number {
  const at = text.indexOf('\n', from);
  return at < 0 ? text.length : at + 1;
}
