import type { LlamaBinding, NativeContext, NativeModel, SamplerConfig } from './llama-binding.ts';

/** A token and the natural logarithm of its probability. */
export type RankedToken = { readonly token: number; readonly logprob: number };
/** A sampled token with the likeliest tokens at its place, the likeliest first. */
export type TokenLogprobs = RankedToken & { readonly top: readonly RankedToken[] };

export type LogprobReader = {
  /** What the model said about `token` at a logit index of the last decode step. */
  read(logitIndex: number, token: number): Promise<TokenLogprobs>;
  dispose(): void;
};

/** What OpenAI writes for a token that could not have been; JSON has no infinity. */
const IMPOSSIBLE_LOGPROB = -9999;

/** Lifts two logits over all others, however unlikely the tokens are, and leaves 4 decimals of their difference. */
const LIFT = 512;

const naturalLogarithm = (probability: number): number =>
  probability > 0 ? Math.log(probability) : IMPOSSIBLE_LOGPROB;

/**
 * Reads log-probabilities from the raw logits: softmax over the whole vocabulary, whatever the request's sampler does.
 *
 * The addon gives no logits, only what a sampler makes of them, and a list of the whole vocabulary costs the main thread
 * some 100 ns per token. So three samplings without temperature, penalties or bias are put together, all of them on other
 * threads: a greedy one tells the probability of the likeliest token in the whole vocabulary, one of the top k how the
 * likeliest compare, and one with just two tokens lifted over all others, where it is needed, how the sampled token
 * compares with the likeliest.
 *
 * @param topTokens how many of the likeliest tokens to tell, 0 or more.
 */
export function createLogprobReader(
  binding: LlamaBinding,
  model: NativeModel,
  context: NativeContext,
  topTokens: number,
): LogprobReader {
  const greedy = new binding.AddonSampler(model);
  greedy.applyConfig({ temperature: 0, seed: 0 });
  const ranking = new binding.AddonSampler(model);

  /** The likeliest tokens and by how much each is less likely than the first, as a logarithm. */
  async function rank(logitIndex: number, config: Partial<SamplerConfig>): Promise<readonly RankedToken[]> {
    ranking.applyConfig({ temperature: 1, seed: 0, ...config });
    const [, flat = []] = await context.sampleToken(logitIndex, ranking, true);
    const first = naturalLogarithm(flat[1] ?? 0);
    return Array.from({ length: flat.length / 2 }, (_, index) => ({
      token: flat[2 * index] ?? -1,
      logprob: naturalLogarithm(flat[2 * index + 1] ?? 0) - first,
    }));
  }

  async function compare(logitIndex: number, token: number, likeliest: number): Promise<number> {
    const pair = await rank(logitIndex, {
      topK: 2,
      tokenBiasKeys: Uint32Array.of(likeliest, token),
      tokenBiasValues: Float32Array.of(LIFT, LIFT),
    });
    const found = pair.find((ranked) => ranked.token === token);
    if (found === undefined) throw new Error(`the model gives no logit for token ${token}`);
    return found.logprob;
  }

  return {
    async read(logitIndex, token) {
      const [[, , best = 0], ranked] = await Promise.all([
        context.sampleToken(logitIndex, greedy, false, true),
        rank(logitIndex, { topK: Math.max(1, topTokens) }),
      ]);
      const base = naturalLogarithm(best);
      const absolute = (logprob: number): number => Math.max(IMPOSSIBLE_LOGPROB, base + logprob);
      const found = ranked.find((other) => other.token === token)?.logprob;
      const own = found ?? (await compare(logitIndex, token, ranked[0]?.token ?? token));
      const top = ranked.slice(0, topTokens).map((other) => ({ ...other, logprob: absolute(other.logprob) }));
      return { token, logprob: absolute(own), top };
    },
    dispose() {
      greedy.dispose();
      ranking.dispose();
    },
  };
}
