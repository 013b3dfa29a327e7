import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Prompt } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { Candidate } from '../fleet/snapshot.ts';

/** How many choices of all prompts together a request may ask for: each is a request to an engine. */
const MOST_CHOICES_OF_SEVERAL_PROMPTS = 128;

/** The prompts of a request, in order. Pure. */
export function promptsOf({ prompt, morePrompts }: GenerateRequest): readonly (Prompt | undefined)[] {
  return [prompt, ...morePrompts];
}

/** How many completions a request makes, of all prompts together. Pure. */
export function choicesOf(request: GenerateRequest): number {
  return (1 + request.morePrompts.length) * choicesPerPrompt(request);
}

/** How many completions a request makes of each prompt. Pure. */
export function choicesPerPrompt({ sampling }: GenerateRequest): number {
  return sampling?.choices ?? 1;
}

/**
 * Refuses more choices than a request may ask for.
 *
 * @throws MeshError INVALID_FIELD.
 */
export function refuseTooManyChoices(request: GenerateRequest): void {
  if (request.morePrompts.length === 0 || choicesOf(request) <= MOST_CHOICES_OF_SEVERAL_PROMPTS) return;
  const problem = `at most ${MOST_CHOICES_OF_SEVERAL_PROMPTS} choices of all prompts together; split the request up`;
  throw invalidField('more_prompts', problem);
}

/** Whether an engine makes all the choices that a request asks for; else each is made by a request of its own. Pure. */
export function makesAllChoices(request: GenerateRequest, { engine }: Candidate): boolean {
  if (request.morePrompts.length > 0) return false;
  return choicesPerPrompt(request) <= 1 || engine.capabilities?.choices !== false;
}

/** The request for one choice of all. Each of a prompt has a seed of its own: the same one would make the same answer. Pure. */
export function choiceOf(request: GenerateRequest, choice: number): GenerateRequest {
  const perPrompt = choicesPerPrompt(request);
  const prompt = promptsOf(request)[Math.floor(choice / perPrompt)];
  const { sampling } = request;
  const own = { ...request, morePrompts: [], ...(prompt ? { prompt } : {}) };
  return sampling ? { ...own, sampling: withoutChoices(sampling, choice % perPrompt) } : own;
}

/** What is sent to the first engine of a request of several prompts; one with one prompt is sent as it is. Pure. */
export function firstSent(request: GenerateRequest): GenerateRequest {
  return request.morePrompts.length > 0 ? choiceOf(request, 0) : request;
}

type Sampling = NonNullable<GenerateRequest['sampling']>;

function withoutChoices({ choices: _, seed, ...sampling }: Sampling, ofPrompt: number): Sampling {
  return { ...sampling, ...(seed === undefined ? {} : { seed: seed + BigInt(ofPrompt) }) };
}
