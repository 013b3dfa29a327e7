import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type GenerateRequest, GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { PromptSchema } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import { type CompletionBody, completionBodySchema } from './completion-schema.ts';
import { engineOptionsOf, resumeOf, samplingOf } from './sampling.ts';

/** Most choices of several prompts together; the router refuses more. */
const MOST_CHOICES = 128;

/** Tokens of a completion when the body does not say. */
const DEFAULT_MAX_TOKENS = 16;

/**
 * The body of `POST /v1/completions` → the request to the router.
 *
 * @throws MeshError INVALID_FIELD for `echo` with token ids and for too many choices of several prompts.
 */
export function completionRequest(body: CompletionBody): GenerateRequest {
  const [first, ...more] = promptsOf(body.prompt);
  if (more.length > 0 && (1 + more.length) * (body.n ?? 1) > MOST_CHOICES) {
    throw invalidField('n', `at most ${MOST_CHOICES} choices of all prompts together are accepted`);
  }
  const echo = body.echo === true;
  if (echo && first.case !== 'text') throw invalidField('echo', 'needs a text prompt');
  const logprobs = { logprobs: body.logprobs != null, topLogprobs: body.logprobs ?? undefined };
  let engineOptions = engineOptionsOf(body, completionBodySchema.shape);
  // As many candidates as answers is what happens anyway; more is another question to the engine.
  if (body.best_of != null && body.best_of !== (body.n ?? 1)) {
    engineOptions = { ...engineOptions, best_of: body.best_of };
  }
  return create(GenerateRequestSchema, {
    model: body.model,
    prompt: { input: first },
    morePrompts: more.map((input) => ({ input })),
    sampling: samplingOf(body, body.max_tokens ?? DEFAULT_MAX_TOKENS, logprobs),
    engineOptions,
    endUser: body.user ?? '',
    resume: resumeOf(body),
    echoPrompt: echo,
  });
}

type PromptInput = NonNullable<MessageInitShape<typeof PromptSchema>['input']>;

/** All are texts, or all are token ids; the schema lets no empty list through. */
function promptsOf(prompt: CompletionBody['prompt']): [PromptInput, ...PromptInput[]] {
  if (typeof prompt === 'string') return [{ case: 'text', value: prompt }];
  const ids: number[] = [];
  const inputs: PromptInput[] = [];
  for (const one of prompt) {
    if (typeof one === 'number') ids.push(one);
    else if (typeof one === 'string') inputs.push({ case: 'text', value: one });
    else inputs.push({ case: 'tokenIds', value: { ids: one } });
  }
  const [first = { case: 'tokenIds', value: { ids } }, ...more] = inputs;
  return [first, ...more];
}
