/** How a program's parser lets a flag be written besides the way in which its documentation writes it. */
export interface Spelling {
  /** "--a_b" is "--a-b". */
  readonly underscores?: boolean;
  /** "--no-x" switches off "--x". */
  readonly negations?: boolean;
  /** The beginning of a name stands for the name. */
  readonly abbreviations?: boolean;
  /** "--x.y" sets the key "y" of "--x". */
  readonly keys?: boolean;
  /** "-p80" is "-p 80". */
  readonly glued?: boolean;
  /** The letters of short flags without a value: others may follow them in one argument, as in "-ep80". */
  readonly switches?: string;
}

/** Python's argparse, with what vLLM's FlexibleArgumentParser and Hugging Face's HfArgumentParser add to it. */
export const ARGPARSE: Spelling = { underscores: true, negations: true, abbreviations: true, keys: true, glued: true };

/** Rust's clap in `text-generation-launcher`, whose flags without a value are --env, --help and --version. */
export const CLAP: Spelling = { glued: true, switches: 'ehV' };

/** llama.cpp's own. */
export const LLAMA_CPP: Spelling = { underscores: true };

/** parseArgs of Node.js as it reads the flags of the embedded engine. */
export const NODE: Spelling = {};

/**
 * Which of `flags` an argument is for that parser. Undefined: none of them.
 *
 * @param flags as the program documents them, e.g. "--port" or "-p"; "--ssl-*" is each that begins so
 */
export function flagMeant(argument: string, flags: readonly string[], spelling: Spelling): string | undefined {
  const name = nameIn(argument, spelling);
  if (name === undefined) return undefined;
  const negated = spelling.negations && name.startsWith('--no-') ? [`--${name.slice('--no-'.length)}`] : [];
  const names = [name, ...negated];
  return (
    flags.find((flag) => names.some((one) => covers(flag, one))) ??
    flags.find((flag) => names.some((one) => standsFor(one, flag, spelling)))
  );
}

/** Whether a name is that one, or begins as one that ends in "*" says. */
export function covers(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

/** The flag in an argument, without its value. What follows a space is a value in the wrong place. */
function nameIn(argument: string, { underscores, keys, switches }: Spelling): string | undefined {
  let name = /^--?[^-=\s][^=\s]*/.exec(argument)?.[0];
  if (name === undefined) return undefined;
  if (!name.startsWith('--')) return switches ? name.replace(new RegExp(`^-[${switches}]+(?=.)`), '-') : name;
  if (underscores) name = name.replaceAll('_', '-');
  return keys ? name.split('.')[0] : name;
}

function standsFor(name: string, flag: string, { abbreviations, glued }: Spelling): boolean {
  if (abbreviations && flag.startsWith(name)) return true;
  return glued === true && !flag.startsWith('--') && name.startsWith(flag);
}
