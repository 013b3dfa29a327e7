import type { GenerateRequest, SamplingParameters } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import { isNeutral } from '../neutral-values.ts';
import { unsupportedField } from './openai-errors.ts';
import type { Json } from './openai-messages.ts';

/**
 * Ollama's own options that a request may set. Those that would load the model anew (num_ctx, num_gpu, …) are not among
 * them, and unknown ones it would ignore.
 */
const OWN_OPTIONS = new Set(['num_keep', 'typical_p', 'repeat_last_n']);

/** Penalties look at the whole context; by default Ollama's see the last 64 tokens only. */
const WHOLE_CONTEXT = -1;

/**
 * Refuses what of the sampling Ollama cannot do.
 *
 * @throws MeshError UNSUPPORTED_FIELD.
 */
export function refuseUnsupportedSampling(sampling: SamplingParameters | undefined, engine: string): void {
  if (!sampling) return;
  const refuse = (field: string, needed: boolean): void => {
    if (needed) throw unsupportedField(engine, field);
  };
  refuse('n', (sampling.choices ?? 1) > 1);
  refuse('min_tokens', (sampling.minTokens ?? 0) > 0);
  refuse('stop_token_ids', sampling.stopTokenIds.length > 0);
  refuse('logit_bias', Object.keys(sampling.logitBias).length > 0);
  refuse('ignore_eos', sampling.ignoreEndOfTurn);
  refuse('return_token_ids', sampling.returnTokenIds);
}

/**
 * The `options` of a request.
 *
 * @throws MeshError UNSUPPORTED_FIELD for an engine option that Ollama does not document, INVALID_FIELD.
 */
export function ollamaOptions({ sampling, engineOptions }: GenerateRequest, engine: string): Json {
  const options: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(engineOptions ?? {})) {
    if (OWN_OPTIONS.has(field)) options[field] = value;
    else if (!isNeutral(field, value)) throw unsupportedField(engine, field);
  }
  if (!sampling) return options;
  const set = (name: string, value: unknown): void => {
    if (value !== undefined) options[name] = value;
  };
  set('num_predict', sampling.maxTokens);
  set('temperature', sampling.temperature);
  set('top_p', sampling.topP);
  set('top_k', sampling.topK);
  set('min_p', sampling.minP);
  set('repeat_penalty', sampling.repetitionPenalty);
  set('frequency_penalty', sampling.frequencyPenalty);
  set('presence_penalty', sampling.presencePenalty);
  set('seed', seed(sampling.seed));
  if (sampling.stop.length > 0) set('stop', sampling.stop);
  if (hasPenalty(sampling)) options.repeat_last_n ??= WHOLE_CONTEXT;
  return options;
}

function hasPenalty({ repetitionPenalty, frequencyPenalty, presencePenalty }: SamplingParameters): boolean {
  return repetitionPenalty !== undefined || frequencyPenalty !== undefined || presencePenalty !== undefined;
}

/** JSON numbers hold integers up to 2^53; a larger seed would silently become another one. */
function seed(value: bigint | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw invalidField('seed', 'must be between -2^53 and 2^53');
  return number;
}
