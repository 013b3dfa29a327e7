import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type GenerateRequest, GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { PromptSchema } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import { type CompletionBody, completionBodySchema } from './completion-schema.ts';
import { engineOptionsOf, resumeOf, samplingOf } from './sampling.ts';

/** Tokens of a completion when the body does not say. */
const DEFAULT_MAX_TOKENS = 16;

/**
 * The body of `POST /v1/completions` → the request to the router.
 *
 * @throws MeshError INVALID_FIELD for `echo` with token ids and for an empty list of them.
 */
export function completionRequest(body: CompletionBody): GenerateRequest {
  const prompt = promptOf(body.prompt);
  const echo = body.echo === true;
  if (echo && prompt.case !== 'text') throw invalidField('echo', 'needs a text prompt');
  const logprobs = { logprobs: body.logprobs != null, topLogprobs: body.logprobs ?? undefined };
  let engineOptions = engineOptionsOf(body, completionBodySchema.shape);
  // As many candidates as answers is what happens anyway; more is another question to the engine.
  if (body.best_of != null && body.best_of !== (body.n ?? 1)) {
    engineOptions = { ...engineOptions, best_of: body.best_of };
  }
  return create(GenerateRequestSchema, {
    model: body.model,
    prompt: { input: prompt },
    sampling: samplingOf(body, body.max_tokens ?? DEFAULT_MAX_TOKENS, logprobs),
    engineOptions,
    endUser: body.user ?? '',
    resume: resumeOf(body),
    echoPrompt: echo,
  });
}

type PromptInput = NonNullable<MessageInitShape<typeof PromptSchema>['input']>;

function promptOf(prompt: CompletionBody['prompt']): PromptInput {
  const [first] = prompt;
  if (typeof prompt === 'string') return { case: 'text', value: prompt };
  if (typeof first === 'string') return { case: 'text', value: first };
  const ids = Array.isArray(first) ? first : prompt.filter((id) => typeof id === 'number');
  if (ids.length === 0) throw invalidField('prompt', 'must not be empty');
  return { case: 'tokenIds', value: { ids } };
}
