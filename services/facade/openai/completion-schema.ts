import { z } from 'zod';
import { MAX_NUMBERS } from '../http/json.ts';
import { boundedArray, ignoredFields, samplingFields, uint32 } from './sampling-fields.ts';

const text = z.string().min(1);
const tokenIds = boundedArray(uint32, MAX_NUMBERS);
const hasOne = (ids: readonly number[]): boolean => ids.length > 0;

/** Most prompts of one request, and most choices of all of them together. */
const MOST_PROMPTS = 128;

/** A list is told by its first element, so that the complaint is about the element that differs. */
function listOf<T extends z.ZodType>(kind: string, list: T): z.ZodPipe<z.ZodCustom<unknown, unknown>, T> {
  const isMeant = (value: unknown): boolean => {
    const first = Array.isArray(value) ? value[0] : undefined;
    return (Array.isArray(first) ? 'list' : typeof first) === kind;
  };
  // An empty list has no first element; the document says so in its own words.
  return z.custom<unknown>(isMeant).pipe(list.meta({ minItems: 1 }));
}

/** One text or list of token ids, or several of either. */
const prompt = z.union(
  [
    text,
    listOf('string', boundedArray(text, MOST_PROMPTS)),
    listOf('number', tokenIds),
    listOf('list', boundedArray(tokenIds.refine(hasOne, { error: 'must not be empty' }), MOST_PROMPTS)),
  ],
  {
    error: `expected a text that is not empty, a list of at most ${MAX_NUMBERS} token ids, or a list of at most ${MOST_PROMPTS} of either`,
  },
);

/** The body of `POST /v1/completions`. Fields that it does not name go to the engine as they are. */
export const completionBodySchema = z.looseObject({
  ...samplingFields,
  ...ignoredFields,
  prompt: prompt.describe(`One text, or the ids of its tokens; or a list of up to ${MOST_PROMPTS} of either.`),
  echo: z.boolean().nullish().describe('Puts the prompt before the answer, where the engine can.'),
  logprobs: z.int().min(0).max(20).nullish().describe('Adds log-probabilities, with so many alternatives per token.'),
  best_of: z.int().min(1).nullish().describe('Goes to the engine, unless it says the same as `n`.'),
  response_format: z.null('is for /v1/chat/completions only').optional(),
});

/** See completionBodySchema. */
export type CompletionBody = z.output<typeof completionBodySchema>;
