import type { Delta } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';

/**
 * The first `count` tokens of a delta, or undefined where it does not tell which text is theirs: only log-probabilities
 * give the text of each token. Pure.
 *
 * @param tokens how many tokens the delta holds
 */
export function firstTokens(delta: Delta, tokens: number, count: number): Delta | undefined {
  const { text, reasoning, toolCalls, logprobs, tokenIds } = delta;
  if (count <= 0 || logprobs.length !== tokens || reasoning !== '' || toolCalls.length > 0) return undefined;
  const texts = logprobs.map(({ token }) => token);
  if (texts.join('') !== text) return undefined;
  return {
    ...delta,
    text: texts.slice(0, count).join(''),
    logprobs: logprobs.slice(0, count),
    tokenIds: tokenIds.length === tokens ? tokenIds.slice(0, count) : [],
    completionTokens: delta.completionTokens - tokens + count,
  };
}
