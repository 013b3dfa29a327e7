import { SchemaError } from './schema-node.ts';

/** More than any schema of a person's hand; parsing it takes some milliseconds. */
const MAX_GRAMMAR_CHARACTERS = 256 * 1024;
/** llama.cpp makes a rule for each possible repetition. */
const MAX_REPETITIONS = 20_000;
/** llama.cpp refuses 2000 and takes more for no limit at all. */
export const MAX_REPETITION = 1999;

/** Rules that several values share, by name. Each begins with a character that says what kind of value it is. */
const SHARED = {
  // Bounded: a model must not be able to go on with white space for ever.
  ws: '(" " | "\\n" " "{0,20})?',
  sp: '" "?',
  // No escaped surrogates: a character is then one character, however it is written.
  char: '[^"\\\\\\x7F\\x00-\\x1F\\uD800-\\uDFFF] | "\\\\" (["\\\\/bfnrt] | "u" ([0-9a-cA-CefEF] hex{3} | [dD] [0-7] hex{2}))',
  hex: '[0-9a-fA-F]',
  // Without escapes, so that a name is written in one way only.
  keychar: '[^"\\\\\\x7F\\x00-\\x1F\\uD800-\\uDFFF]',
  string: '"\\"" char* "\\""',
  digits: '"0" | [1-9] [0-9]{0,14}',
  integer: '"-"? digits',
  number: '"-"? digits ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?',
  boolean: '"true" | "false"',
  null: '"null"',
} as const;
export type SharedRule = keyof typeof SHARED;

/** Collects the rules of a grammar in llama.cpp's notation. */
export type GrammarWriter = {
  /** The name of a rule that is not written yet. */
  name(): string;
  write(name: string, body: string): void;
  /** Writes a rule and returns its name. */
  add(body: string): string;
  /** The name of a shared rule. */
  shared(name: SharedRule): string;
  /** `item` repeated; `maximum` undefined: without end. `item` is one symbol or in parentheses. */
  repeat(item: string, minimum: number, maximum: number | undefined): string;
  /** The whole text. Throws SchemaError where it is too large. */
  text(): string;
};

/** A text as the grammar writes it. */
export function quoted(text: string): string {
  const escaped = text.replace(/["\\]/g, '\\$&').replace(/\n/g, '\\n').replace(/\r/g, '\\r');
  return `"${escaped}"`;
}

export function createGrammarWriter(): GrammarWriter {
  const rules = new Map<string, string>(Object.entries(SHARED));
  let names = 0;
  let characters = 0;
  let repetitions = 0;

  const tooLarge = () =>
    new SchemaError(
      [],
      'unsupported',
      'is too large for this engine: use fewer or shorter properties, values and limits',
    );
  const writer: GrammarWriter = {
    name: () => `r${names++}`,
    write(name, body) {
      characters += name.length + body.length;
      if (characters > MAX_GRAMMAR_CHARACTERS) throw tooLarge();
      rules.set(name, body);
    },
    add(body) {
      const name = writer.name();
      writer.write(name, body);
      return name;
    },
    shared: (name) => name,
    repeat(item, minimum, maximum) {
      repetitions += maximum ?? minimum;
      if (repetitions > MAX_REPETITIONS) throw tooLarge();
      return maximum === 0 ? '' : `${item}{${minimum},${maximum ?? ''}}`;
    },
    text: () => Array.from(rules, ([name, body]) => `${name} ::= ${body}\n`).join(''),
  };
  return writer;
}
