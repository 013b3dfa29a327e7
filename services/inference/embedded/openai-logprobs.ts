import { StringDecoder } from 'node:string_decoder';
import type { RankedToken, TokenLogprobs } from './logprob-reader.ts';
import type { TokenSpelling } from './token-spelling.ts';

/** Formats the log-probabilities of the next tokens of one answer. */
export type LogprobsFormat = (entries: readonly TokenLogprobs[]) => object;
type Spell = (token: number) => TokenSpelling;

/** OpenAI's `logprobs` object of a chat or a completion. Completions also tell `bytes`, an addition of ours. */
export function createLogprobsFormat(kind: 'chat' | 'completion', spell: Spell): LogprobsFormat {
  return kind === 'chat' ? (entries) => chatLogprobs(entries, spell) : completionFormat(spell);
}

function chatLogprobs(entries: readonly TokenLogprobs[], spell: Spell): object {
  const told = ({ token, logprob }: RankedToken) => {
    const { text, bytes } = spell(token);
    return { token: text, logprob, bytes: Array.from(bytes) };
  };
  return { content: entries.map((entry) => ({ ...told(entry), top_logprobs: entry.top.map(told) })), refusal: null };
}

function completionFormat(spell: Spell): LogprobsFormat {
  // Says what of the bytes so far is whole characters: tokens inside a character begin where it begins.
  const characters = new StringDecoder('utf8');
  let offset = 0;
  const name = (token: number): string => {
    const { text, isText } = spell(token);
    return isText ? text : `bytes:${text}`;
  };
  return (entries) => ({
    tokens: entries.map(({ token }) => name(token)),
    token_logprobs: entries.map(({ logprob }) => logprob),
    top_logprobs: entries.map(({ top }) => Object.fromEntries(top.map((other) => [name(other.token), other.logprob]))),
    text_offset: entries.map(({ token }) => {
      const begin = offset;
      offset += characters.write(spell(token).bytes).length;
      return begin;
    }),
    bytes: entries.map(({ token }) => Array.from(spell(token).bytes)),
  });
}
