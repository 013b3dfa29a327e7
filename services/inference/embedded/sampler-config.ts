import { randomInt } from 'node:crypto';
import type { SamplerConfig } from './llama-binding.ts';
import { RequestError } from './request-error.ts';
import type { CommonBody } from './request-fields.ts';

const SEED_RANGE = 2 ** 32;

/** The fields about sampling as the native sampler takes them. Throws RequestError for a bias on an unknown token. */
export function samplerConfig(body: CommonBody, vocabularySize: number): SamplerConfig {
  const config: SamplerConfig = {
    temperature: body.temperature ?? 1,
    seed: body.seed === undefined ? randomInt(SEED_RANGE) : ((body.seed % SEED_RANGE) + SEED_RANGE) % SEED_RANGE,
  };
  if (body.top_k !== undefined && body.top_k > 0) config.topK = body.top_k;
  if (body.top_p !== undefined && body.top_p < 1) config.topP = body.top_p;
  if (body.min_p !== undefined && body.min_p > 0) config.minP = body.min_p;
  const repeat = body.repetition_penalty ?? 1;
  const presence = body.presence_penalty ?? 0;
  const frequency = body.frequency_penalty ?? 0;
  if (repeat !== 1 || presence !== 0 || frequency !== 0) {
    config.repeatPenalty = repeat;
    config.repeatPenaltyPresencePenalty = presence;
    config.repeatPenaltyFrequencyPenalty = frequency;
    config.repeatPenaltyTokens = new Uint32Array();
  }
  const bias = Object.entries(body.logit_bias ?? {});
  const unknown = bias.find(([token]) => Number(token) >= vocabularySize);
  if (unknown !== undefined) {
    throw new RequestError(400, `Token id ${unknown[0]} in 'logit_bias' is not in the vocabulary.`, {
      param: 'logit_bias',
      code: 'invalid_value',
    });
  }
  if (bias.length > 0) {
    config.tokenBiasKeys = Uint32Array.from(bias, ([token]) => Number(token));
    config.tokenBiasValues = Float32Array.from(bias, ([, value]) => value);
  }
  return config;
}
