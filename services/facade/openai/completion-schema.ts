import { z } from 'zod';
import { MAX_NUMBERS } from '../http/json.ts';
import { boundedArray, ignoredFields, samplingFields, uint32 } from './sampling-fields.ts';

const text = z.string().min(1);
const tokenIds = boundedArray(uint32, MAX_NUMBERS);

/** Whether a prompt is not a list of several prompts; anything else about it is checked after. */
function isSinglePrompt(prompt: unknown): boolean {
  return !Array.isArray(prompt) || prompt.length <= 1 || typeof prompt[0] === 'number';
}

/** One text, a list with one text, token ids, or a list with one list of token ids. */
const prompt = z
  .custom<unknown>(isSinglePrompt, {
    error: 'several prompts in one request are not supported yet; send one request per prompt',
  })
  .pipe(
    z.union([text, z.tuple([text]), tokenIds, z.tuple([tokenIds])], {
      error: `expected a text that is not empty, a list with one such text, or a list of at most ${MAX_NUMBERS} token ids`,
    }),
  );

/** The body of `POST /v1/completions`. Fields that it does not name go to the engine as they are. */
export const completionBodySchema = z.looseObject({
  ...samplingFields,
  ...ignoredFields,
  prompt: prompt.describe('One text, or the ids of its tokens; also as the only element of a list.'),
  echo: z.boolean().nullish().describe('Puts the prompt before the answer, where the engine can.'),
  logprobs: z.int().min(0).max(20).nullish().describe('Adds log-probabilities, with so many alternatives per token.'),
  best_of: z.int().min(1).nullish().describe('Goes to the engine, unless it says the same as `n`.'),
  response_format: z.null('is for /v1/chat/completions only').optional(),
});

/** See completionBodySchema. */
export type CompletionBody = z.output<typeof completionBodySchema>;
