import { isUtf8 } from 'node:buffer';
import { BYTE_LEVEL_VOCABULARY, type NativeModel, TOKEN_ATTRIBUTE } from './llama-binding.ts';

/** A token on its own. */
export type TokenSpelling = {
  /** The text that its bytes are; for bytes that are no text, each byte over 127 as `\xHH`, as OpenAI writes them. */
  readonly text: string;
  readonly bytes: Buffer;
  /** Whether the bytes are text on their own. */
  readonly isText: boolean;
};

const REPLACEMENT = '\uFFFD';

/** Byte-level vocabularies write each byte as a character: printable Latin-1 as itself, the others from U+0100 up. */
function bytesOfCharacters(): ReadonlyMap<string, number> {
  const bytes = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    bytes.set(String.fromCodePoint(printable ? byte : next++), byte);
  }
  return bytes;
}

/** Spells tokens one by one and remembers them. `detokenize`: a token's text, U+FFFD for what is no UTF-8. */
export function createTokenSpellings(
  model: NativeModel,
  detokenize: (token: number) => string,
): (token: number) => TokenSpelling {
  const isByteLevel = model.getVocabularyType() === BYTE_LEVEL_VOCABULARY;
  const byteOf = bytesOfCharacters();
  const spellings = new Map<number, TokenSpelling>();

  /** The bytes of a token whose text has gaps, from its string; undefined where the string does not tell. */
  function hiddenBytes(token: number): Buffer | undefined {
    const string = model.getTokenString(token);
    if ((model.getTokenAttributes(token) & TOKEN_ATTRIBUTE.byte) !== 0) {
      const byte = /^<0x([0-9A-F]{2})>$/i.exec(string)?.[1];
      return byte === undefined ? undefined : Buffer.from(byte, 'hex');
    }
    if (!isByteLevel) return undefined;
    const bytes = Array.from(string, (character) => byteOf.get(character));
    return bytes.includes(undefined) ? undefined : Buffer.from(bytes as number[]);
  }

  function spell(token: number): TokenSpelling {
    // A control token has no text, but as an alternative it has a name.
    const text = detokenize(token) || model.getTokenString(token);
    const bytes = text.includes(REPLACEMENT) ? hiddenBytes(token) : undefined;
    if (bytes === undefined || isUtf8(bytes)) return { text, bytes: Buffer.from(text), isText: true };
    const escaped = Array.from(bytes, (byte) =>
      byte < 0x80 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`,
    );
    return { text: escaped.join(''), bytes, isText: false };
  }

  return (token) => {
    let spelling = spellings.get(token);
    if (spelling === undefined) {
      spelling = spell(token);
      spellings.set(token, spelling);
    }
    return spelling;
  };
}
