import { z } from 'zod';
import { boundedArray, ignoredFields, samplingFields, unlessKnown } from '../openai/sampling-fields.ts';
import { inputSchema } from './input-schema.ts';

const jsonObject = z.record(z.string(), z.unknown());

const tool = z.object({
  type: z.literal('function', 'only tools of the type "function" are there'),
  name: z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, 'must be 1 to 64 of A-Z, a-z, 0-9, "_", "-" and "."'),
  description: z.string().nullish(),
  parameters: jsonObject.nullish(),
  strict: z.boolean().nullish(),
});

const toolChoice = z.union(
  [z.enum(['none', 'auto', 'required']), z.object({ type: z.literal('function'), name: z.string().min(1).max(64) })],
  { error: 'expected "none", "auto", "required" or {"type": "function", "name": …}' },
);

const textFormat = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('text') }),
    z.object({ type: z.literal('json_object') }),
    z.object({
      type: z.literal('json_schema'),
      name: z.string().min(1).max(64),
      description: z.string().nullish(),
      schema: jsonObject.nullish(),
      strict: z.boolean().nullish(),
    }),
  ],
  { error: unlessKnown('type', 'text, json_object, json_schema') },
);

/** A field that asks for what is kept between requests, or what this mesh does not do: null and absent are fine. */
const none = (why: string) => z.null(why).optional();
const STATELESS = 'nothing is kept between requests; send the whole conversation as `input`';

const { n, max_tokens, stream_options, ...sampling } = samplingFields;

/** The body of `POST /v1/responses`. Fields that it does not name go to the engine as they are. */
export const responsesBodySchema = z
  .looseObject({
    ...sampling,
    ...ignoredFields,
    input: inputSchema.describe('A text, or messages, calls of tools and their results.'),
    instructions: z.string().nullish().describe('What comes before the input.'),
    max_output_tokens: z.int().min(1).nullish(),
    tools: boundedArray(tool, 128).nullish(),
    tool_choice: toolChoice.nullish(),
    text: z.object({ format: textFormat.nullish(), verbosity: z.unknown().optional() }).nullish(),
    reasoning: z.object({ effort: z.string().max(32).nullish() }).nullish(),
    include: z
      .array(
        z.enum(['message.output_text.logprobs', 'reasoning.encrypted_content'], {
          error: 'only message.output_text.logprobs is there; reasoning.encrypted_content has no effect',
        }),
      )
      .nullish(),
    top_logprobs: z.int().min(0).max(20).nullish(),
    metadata: z.record(z.string(), z.unknown()).nullish().describe('Comes back with the answer.'),
    stream_options: z.unknown().optional(),
    max_tool_calls: z.unknown().optional(),
    prompt_cache_retention: z.unknown().optional(),
    background: z.literal(false, 'answers are not made in the background; use `stream`').nullish(),
    truncation: z.literal('disabled', 'input is never cut; send less').nullish(),
    previous_response_id: none(STATELESS),
    conversation: none(STATELESS),
    prompt: none('there are no stored prompts; send `instructions` and `input`'),
    context_management: none('input is never cut; send less'),
    max_tokens: none('is called max_output_tokens here'),
    n: none('there is one answer per request'),
  })
  .refine(({ top_logprobs: top, include }) => !top || include?.includes('message.output_text.logprobs'), {
    error: 'needs "message.output_text.logprobs" in `include`',
    path: ['top_logprobs'],
  });

/** See responsesBodySchema. */
export type ResponsesBody = z.output<typeof responsesBodySchema>;
