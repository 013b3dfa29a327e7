/** Tokens and the text that they make, complete characters only. */
export type Piece = { readonly tokens: readonly number[]; readonly text: string };

/** A character has at most 4 bytes and a token at least one, so what four tokens do not complete is not UTF-8. */
const LONGEST_CHARACTER_TOKENS = 4;
const REPLACEMENT = '\uFFFD';

export type TextDecoder = {
  /** The piece that this token completes, or undefined while a character is still open. */
  push(token: number): Piece | undefined;
  /** What is still open at the end, with U+FFFD for the missing bytes. */
  flush(): Piece | undefined;
};

/** Turns tokens into text one by one. `detokenize` gives the text of a run of tokens, U+FFFD for incomplete bytes. */
export function createTextDecoder(detokenize: (tokens: readonly number[]) => string): TextDecoder {
  let open: number[] = [];
  return {
    push(token) {
      const tokens = open.length === 0 ? [token] : [...open, token];
      const text = detokenize(tokens);
      if (!text.endsWith(REPLACEMENT)) {
        open = [];
        return { tokens, text };
      }
      if (tokens.length < LONGEST_CHARACTER_TOKENS) {
        open = tokens;
        return undefined;
      }
      // The first token belongs to no character; one that begins in the others may still be completed.
      const first = tokens.slice(0, 1);
      open = tokens.slice(1);
      return { tokens: first, text: detokenize(first) };
    },
    flush() {
      if (open.length === 0) return undefined;
      const piece = { tokens: open, text: detokenize(open) };
      open = [];
      return piece;
    },
  };
}
