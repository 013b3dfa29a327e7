// How the libraries that engines read their arguments with refuse them.

/** The words of one library. */
export interface ArgumentErrors {
  readonly exitCode: number;
  /** A flag that is none of the tool's. */
  unknown(tool: string, argument: string): string;
  /** A flag whose value is missing. */
  missing(tool: string, names: readonly string[]): string;
  /** A value that is not what the flag takes. */
  type(tool: string, names: readonly string[], value: string, is: 'integer' | 'number'): string;
  choice(tool: string, names: readonly string[], value: string, choices: readonly string[]): string;
  /** A word too many. */
  word(tool: string, word: string): string;
}

const longest = (names: readonly string[]): string =>
  names.reduce((one, other) => (other.length > one.length ? other : one), '');

/** Python's argparse: vLLM. */
const argparse: ArgumentErrors = {
  exitCode: 2,
  // Found by the parser above the command's own.
  unknown: (tool, argument) => `${usage(tool)}${tool.split(' ')[0]}: error: unrecognized arguments: ${argument}`,
  missing: (tool, names) => `${usage(tool)}${tool}: error: argument ${names.join('/')}: expected one argument`,
  type: (tool, names, value, is) =>
    `${usage(tool)}${tool}: error: argument ${names.join('/')}: invalid ${is === 'integer' ? 'int' : 'float'} value: '${value}'`,
  choice: (tool, names, value, choices) =>
    `${usage(tool)}${tool}: error: argument ${names.join('/')}: invalid choice: '${value}' (choose from ${choices.map((one) => `'${one}'`).join(', ')})`,
  word: (tool, word) => `${usage(tool)}${tool.split(' ')[0]}: error: unrecognized arguments: ${word}`,
};

/** Rust's clap: text-generation-launcher. */
const clap: ArgumentErrors = {
  exitCode: 2,
  unknown: (tool, argument) =>
    `error: unexpected argument '${argument.split('=')[0]}' found\n\nUsage: ${tool} [OPTIONS]\n\nFor more information, try '--help'.`,
  missing: (_tool, names) =>
    `error: a value is required for '${longest(names)} <${placeholder(names)}>' but none was supplied\n\nFor more information, try '--help'.`,
  type: (_tool, names, value) =>
    `error: invalid value '${value}' for '${longest(names)} <${placeholder(names)}>': invalid digit found in string\n\nFor more information, try '--help'.`,
  choice: (_tool, names, value, choices) =>
    `error: invalid value '${value}' for '${longest(names)} <${placeholder(names)}>'\n  [possible values: ${choices.join(', ')}]\n\nFor more information, try '--help'.`,
  word: (tool, word) =>
    `error: unexpected argument '${word}' found\n\nUsage: ${tool} [OPTIONS]\n\nFor more information, try '--help'.`,
};

/** llama.cpp's own reader: llama-server. */
const llamaCpp: ArgumentErrors = {
  exitCode: 1,
  unknown: (_tool, argument) => `error: invalid argument: ${argument}`,
  missing: (_tool, names) => `error while handling argument "${longest(names)}": expected value for argument`,
  type: (_tool, names) => `error while handling argument "${longest(names)}": stoi`,
  choice: (_tool, names, value) =>
    `error while handling argument "${longest(names)}": error: unknown value for ${longest(names)}: '${value}'`,
  word: (_tool, word) => `error: invalid argument: ${word}`,
};

/** Go's cobra: ollama. */
const cobra: ArgumentErrors = {
  exitCode: 1,
  unknown: (_tool, argument) =>
    argument.startsWith('--')
      ? `Error: unknown flag: ${argument.split('=')[0]}`
      : `Error: unknown shorthand flag: '${argument[1]}' in ${argument}`,
  missing: (_tool, names) => `Error: flag needs an argument: ${longest(names)}`,
  type: (_tool, names, value) =>
    `Error: invalid argument "${value}" for "${longest(names)}" flag: strconv.ParseInt: parsing "${value}": invalid syntax`,
  choice: (_tool, names, value) => `Error: invalid argument "${value}" for "${longest(names)}" flag`,
  word: (tool, word) => `Error: unknown command "${word}" for "${tool}"`,
};

/** Python's click below the hub's command line: transformers. Below typer, in versions before, the same words stand in a box. */
const click: ArgumentErrors = {
  exitCode: 2,
  unknown: (tool, argument) => clicked(tool, `No such option '${argument.split('=')[0]}'.`),
  missing: (tool, names) => clicked(tool, `Option '${longest(names)}' requires an argument.`),
  type: (tool, names, value, is) =>
    clicked(
      tool,
      `Invalid value for '${longest(names)}': '${value}' is not a valid ${is === 'integer' ? 'integer' : 'float'}.`,
    ),
  choice: (tool, names, value, choices) =>
    clicked(
      tool,
      `Invalid value for '${longest(names)}': '${value}' is not one of ${choices.map((one) => `'${one}'`).join(', ')}.`,
    ),
  word: (tool, word) => clicked(tool, `Got unexpected extra argument (${word})`),
};

/** Every library by its name. */
export const argumentErrors = { argparse, clap, llamaCpp, cobra, click } as const;

function usage(tool: string): string {
  return `usage: ${tool} [model_tag] [options]\n`;
}

function placeholder(names: readonly string[]): string {
  return longest(names).replace(/^-+/, '').replaceAll('-', '_').toUpperCase();
}

function clicked(tool: string, problem: string): string {
  return `Usage: ${tool} [OPTIONS]\nTry '${tool} --help' for help.\n\nError: ${problem}`;
}
