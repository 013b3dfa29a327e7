import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';

/** The length of a prompt, as far as it is known. */
export interface PromptLength {
  readonly tokens: number;
  /** Whether it was counted by the model's tokenizer; else it is an upper bound. */
  readonly isExact: boolean;
}

/** The size of a request, for its reservation. */
export interface Demand {
  readonly promptTokens: number;
  /** The most that all choices together may produce. */
  readonly maxCompletionTokens: number;
}

/** What a request of several prompts asks of quota: the sum of what each asks. Pure. */
export function demandOfAll(
  request: Pick<GenerateRequest, 'sampling'>,
  contextTokens: number,
  prompts: readonly PromptLength[],
): Demand {
  let promptTokens = 0;
  let maxCompletionTokens = 0;
  for (const prompt of prompts) {
    const demand = demandOf(request, contextTokens, prompt);
    promptTokens += demand.promptTokens;
    maxCompletionTokens += demand.maxCompletionTokens;
  }
  return { promptTokens, maxCompletionTokens };
}

/** The context of a model that does not tell its own, in tokens: as long as that of any. */
export const LONGEST_CONTEXT_TOKENS = 1_048_576;

/**
 * What a request asks of quota. Prompt and completion share the context, of which every choice has one of its own. Pure.
 *
 * @param contextTokens of the engine; 0: unknown
 */
export function demandOf(
  { sampling }: Pick<GenerateRequest, 'sampling'>,
  contextTokens: number,
  prompt: PromptLength,
): Demand {
  const context = contextTokens || LONGEST_CONTEXT_TOKENS;
  // An engine refuses a prompt that is longer than its context, so that is a bound too.
  const promptTokens = Math.min(prompt.tokens, context);
  // A bound says nothing about how short the prompt may be.
  const left = Math.max(1, context - (prompt.isExact ? promptTokens : 1));
  const perChoice = Math.min(sampling?.maxTokens ?? left, left);
  return { promptTokens, maxCompletionTokens: perChoice * (sampling?.choices ?? 1) };
}
