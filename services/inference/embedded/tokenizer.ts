import { type NativeModel, TOKEN_ATTRIBUTE } from './llama-binding.ts';
import { createTokenSpellings, type TokenSpelling } from './token-spelling.ts';

export type Tokenizer = {
  readonly vocabularySize: number;
  /** Text as it is: what looks like a control token stays text. */
  tokenizeText(text: string): Uint32Array;
  /** Text in which the names of control tokens stand for the tokens. */
  tokenizeMarkup(text: string): Uint32Array;
  /** Text of a run of tokens inside a longer text; U+FFFD for incomplete characters, nothing for control tokens. */
  detokenize(tokens: readonly number[]): string;
  /** One token on its own, exactly. */
  spell(token: number): TokenSpelling;
  /** The token that this model wants at the beginning of every sequence. */
  readonly beginToken: number | undefined;
  /** Names of the control tokens, the longest first. */
  readonly controlTexts: readonly string[];
  /** The control tokens that do not end a generation. */
  readonly markTokens: readonly number[];
  /** The tokens that end a generation. */
  readonly endTokens: ReadonlySet<number>;
};

/** Wraps the model's vocabulary. `vocabularySize`: number of tokens in the file. */
export function createTokenizer(model: NativeModel, vocabularySize: number): Tokenizer {
  // Some vocabularies drop the space before the first token of a call; with a fixed token in front it is never ours.
  const anchor = model.tokenize('a', false)[0];
  const anchorText = anchor === undefined ? '' : model.detokenize(Uint32Array.of(anchor));
  const detokenizeRun = (tokens: readonly number[]): string =>
    anchor === undefined
      ? model.detokenize(Uint32Array.from(tokens))
      : model.detokenize(Uint32Array.of(anchor, ...tokens)).slice(anchorText.length);
  const singleTokenTexts = new Map<number, string>();

  function detokenize(tokens: readonly number[]): string {
    const [token] = tokens;
    if (token === undefined) return '';
    if (tokens.length > 1) return detokenizeRun(tokens);
    let text = singleTokenTexts.get(token);
    if (text === undefined) {
      text = detokenizeRun(tokens);
      singleTokenTexts.set(token, text);
    }
    return text;
  }

  return {
    vocabularySize,
    tokenizeText: (text) => model.tokenize(text, false),
    tokenizeMarkup: (text) => model.tokenize(text, true),
    detokenize,
    spell: createTokenSpellings(model, (token) => detokenize([token])),
    beginToken: model.shouldPrependBosToken() && model.tokenBos() >= 0 ? model.tokenBos() : undefined,
    ...readSpecialTokens(model, vocabularySize),
  };
}

function readSpecialTokens(
  model: NativeModel,
  vocabularySize: number,
): Pick<Tokenizer, 'controlTexts' | 'markTokens' | 'endTokens'> {
  const texts: string[] = [];
  const markTokens: number[] = [];
  const endTokens = new Set<number>();
  for (let token = 0; token < vocabularySize; token++) {
    if (model.isEogToken(token)) endTokens.add(token);
    if ((model.getTokenAttributes(token) & (TOKEN_ATTRIBUTE.control | TOKEN_ATTRIBUTE.unknown)) === 0) continue;
    if (!endTokens.has(token)) markTokens.push(token);
    const text = model.getTokenString(token);
    if (text.length > 0) texts.push(text);
  }
  return { controlTexts: texts.sort((left, right) => right.length - left.length), markTokens, endTokens };
}

/** A prompt in plain text: the model's begin token, then the text as text. */
export function tokenizePlainPrompt(tokenizer: Tokenizer, text: string): Uint32Array {
  const tokens = tokenizer.tokenizeText(text);
  return tokenizer.beginToken === undefined ? tokens : Uint32Array.of(tokenizer.beginToken, ...tokens);
}
