// The command line of a fake tool: it takes the flags of the real one and refuses any other in the real one's words.
import { type ArgumentErrors, argumentErrors } from './argument-errors.ts';

/** A flag of a tool. */
export interface Flag {
  /** All its spellings, e.g. ["--port", "-p"]; the value is kept under the first. */
  readonly names: readonly string[];
  /** How many values follow it. Default: one. */
  readonly takes?: 'nothing' | 'value' | 'values' | 'optional';
  /** What the value must be. Default: any text. */
  readonly is?: 'integer' | 'number';
  readonly choices?: readonly string[];
}

/** A tool and its command line. */
export interface Tool {
  /** As its own errors name it, e.g. "vllm serve". */
  readonly name: string;
  /** Whose library it reads its arguments with, so whose words its errors have. */
  readonly library: keyof typeof argumentErrors;
  readonly flags: readonly Flag[];
  /** How many words it takes besides flags. Default 0. */
  readonly words?: number;
}

/** What a command line said. */
export interface Arguments {
  readonly words: readonly string[];
  /** The last value of a flag, by its first name; "" for a flag without one. Undefined: not given. */
  value(name: string): string | undefined;
  /** All values of a flag. */
  values(name: string): readonly string[];
  has(name: string): boolean;
}

/** A flag of that name with one value. */
export function flag(...names: string[]): Flag {
  return { names };
}

/** A flag of that name without a value. */
export function toggle(...names: string[]): Flag {
  return { names, takes: 'nothing' };
}

/** Reads the command line; what the real tool would refuse ends the process with its words and exit code. */
export function readArguments(tool: Tool, argv: readonly string[] = process.argv.slice(2)): Arguments {
  try {
    return parse(tool, argv);
  } catch (error) {
    if (!(error instanceof ArgumentRefused)) throw error;
    const { exitCode } = argumentErrors[tool.library];
    process.stderr.write(`${error.message}\n`);
    process.exit(exitCode);
  }
}

/** What the real tool would print; `exitCode` of its library goes with it. */
export class ArgumentRefused extends Error {}

/**
 * As readArguments, but without ending the process.
 *
 * @throws ArgumentRefused
 */
export function parse(tool: Tool, argv: readonly string[]): Arguments {
  const errors: ArgumentErrors = argumentErrors[tool.library];
  const words: string[] = [];
  const given = new Map<string, string[]>();
  const rest = [...argv];
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    if (!argument.startsWith('-') || argument === '-') {
      words.push(argument);
      continue;
    }
    const [name = '', inline] = splitOnce(argument);
    const known = tool.flags.find(({ names }) => names.includes(name));
    if (!known) throw new ArgumentRefused(errors.unknown(tool.name, argument));
    const values = inline === undefined ? take(known, rest) : [inline];
    if ((known.takes ?? 'value') === 'value' && values.length === 0) {
      throw new ArgumentRefused(errors.missing(tool.name, known.names));
    }
    for (const value of values) check(tool, known, value, errors);
    const key = known.names[0] ?? '';
    given.set(key, [...(given.get(key) ?? []), ...values]);
  }
  const tooMany = words[tool.words ?? 0];
  if (tooMany !== undefined) throw new ArgumentRefused(errors.word(tool.name, tooMany));
  return {
    words,
    value: (name) => (given.has(name) ? (given.get(name)?.at(-1) ?? '') : undefined),
    values: (name) => given.get(name) ?? [],
    has: (name) => given.has(name),
  };
}

function take({ takes = 'value' }: Flag, rest: string[]): string[] {
  if (takes === 'nothing') return [];
  const values: string[] = [];
  while (rest[0] !== undefined && (takes === 'values' || values.length === 0)) {
    // A negative number is a value and no flag.
    if (rest[0].startsWith('-') && !/^-\d/.test(rest[0])) break;
    values.push(rest.shift() ?? '');
  }
  return values;
}

function check(tool: Tool, { names, is, choices }: Flag, value: string, errors: ArgumentErrors): void {
  const pattern = is === 'integer' ? /^[+-]?\d+$/ : /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
  if (is && !pattern.test(value)) throw new ArgumentRefused(errors.type(tool.name, names, value, is));
  if (choices && !choices.includes(value)) {
    throw new ArgumentRefused(errors.choice(tool.name, names, value, choices));
  }
}

function splitOnce(argument: string): [string, string | undefined] {
  const at = argument.indexOf('=');
  return at === -1 || !argument.startsWith('--')
    ? [argument, undefined]
    : [argument.slice(0, at), argument.slice(at + 1)];
}
