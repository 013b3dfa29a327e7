import type { LlamaBinding, NativeContext, NativeGrammar, NativeModel, SamplerConfig } from './llama-binding.ts';
import { createLogprobReader, type TokenLogprobs } from './logprob-reader.ts';

/** How a generation chooses its tokens. */
export type SamplingPlan = {
  readonly config: SamplerConfig;
  /** What the text must follow; undefined: nothing. */
  readonly grammar: NativeGrammar | undefined;
  /** How many of the likeliest tokens to tell beside each token; undefined: no log-probabilities at all. */
  readonly topLogprobs: number | undefined;
};

export type SampledToken = { readonly token: number; readonly logprobs: TokenLogprobs | undefined };

/** Chooses the tokens of one generation. */
export type TokenSampler = {
  /** The next token from a logit index of the last decode step. Rejects when none is possible. */
  sample(logitIndex: number): Promise<SampledToken>;
  /** Must not be called while `sample` works. */
  dispose(): void;
};

export type TokenSamplerParts = {
  readonly binding: LlamaBinding;
  readonly model: NativeModel;
  readonly context: NativeContext;
};

export function createTokenSampler({ binding, model, context }: TokenSamplerParts, plan: SamplingPlan): TokenSampler {
  const sampler = new binding.AddonSampler(model);
  sampler.applyConfig(
    plan.grammar === undefined
      ? plan.config
      : { ...plan.config, grammarEvaluationState: new binding.AddonGrammarEvaluationState(model, plan.grammar) },
  );
  const reader =
    plan.topLogprobs === undefined ? undefined : createLogprobReader(binding, model, context, plan.topLogprobs);
  return {
    async sample(logitIndex) {
      const token = await context.sampleToken(logitIndex, sampler);
      if (token < 0) throw new Error('no token could be sampled');
      // The token that ends a generation is not part of the answer, and neither is its probability.
      const told = reader !== undefined && !model.isEogToken(token);
      return { token, logprobs: told ? await reader.read(logitIndex, token) : undefined };
    },
    dispose() {
      sampler.dispose();
      reader?.dispose();
    },
  };
}
