import { z } from 'zod';
import { MAX_NUMBERS } from '../http/json.ts';
import { boundedArray, ignoredFields, uint32 } from './sampling-fields.ts';

/** Most inputs of one request. */
const MAX_INPUTS = 2048;

const text = z.string().min(1, 'a text must not be empty');
const tokenIds = boundedArray(uint32, MAX_NUMBERS);
const someTokenIds = tokenIds.refine((ids) => ids.length > 0, 'must not be empty');

/** Counted before the inputs are checked one by one. A list of numbers is one input. */
function fewInputs(input: unknown): boolean {
  return !Array.isArray(input) || input.length <= MAX_INPUTS || typeof input[0] === 'number';
}

/** One text, texts, the token ids of one input, or lists of token ids. */
const input = z.custom<unknown>(fewInputs, { error: `at most ${MAX_INPUTS} inputs are accepted` }).pipe(
  z.union([text, z.array(text), tokenIds, z.array(someTokenIds)], {
    error: 'expected a text, token ids, or a list of texts or of lists of token ids, none of them empty',
  }),
);

/** The body of `POST /v1/embeddings`. */
export const embeddingsBodySchema = z.looseObject({
  ...ignoredFields,
  /** Empty: the default model. */
  model: z
    .string()
    .max(512)
    .nullish()
    .transform((name) => name ?? ''),
  input: input.describe('One input, or several at once.'),
  encoding_format: z
    .enum(['float', 'base64'])
    .nullish()
    .describe('Lists of numbers, or base64 of 32-bit floats, little end first, which is what SDKs ask for.'),
  dimensions: z.int().min(1).max(65_536).nullish().describe('Shorter vectors, where the model can.'),
  user: z.string().max(256).nullish(),
});

/** See embeddingsBodySchema. */
export type EmbeddingsBody = z.output<typeof embeddingsBodySchema>;

/** The answer. */
export const embeddingsAnswerSchema = z.object({
  object: z.literal('list'),
  data: z.array(
    z.object({
      object: z.literal('embedding'),
      index: z.int(),
      embedding: z.union([z.array(z.number()), z.base64()]),
    }),
  ),
  model: z.string(),
  usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
});
