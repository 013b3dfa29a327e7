import { MeshError } from '../../shared/errors/mesh-error.ts';
import { errorOfResponse, type OpenAiAnswer } from './openai-errors.ts';
import { readToldError } from './told-error.ts';

/** vLLM clips max_tokens to what the prompt leaves, and then refuses what it has made of it. */
const NOTHING_LEFT = /^max_tokens must be at least 1, got 0\b/;

/** What an answer of vLLM means that is no stream, for a context of `contextTokens`; max_tokens was at least 1. */
export function errorOfVllm(contextTokens: number | undefined, engine: string, answer: OpenAiAnswer): MeshError {
  const error = errorOfResponse(engine, answer);
  if (answer.status !== 400 || !NOTHING_LEFT.test(readToldError(answer.body)?.message ?? '')) return error;
  const length = contextTokens === undefined ? undefined : String(contextTokens);
  return new MeshError('CONTEXT_LENGTH_EXCEEDED', 'The prompt fills the context and leaves nothing for an answer.', {
    metadata: length === undefined ? {} : { prompt_tokens: length, context_tokens: length },
    cause: error.cause,
  });
}
