import { z } from 'zod';
import { chatMessageSchema, MAX_CONTENT_PARTS } from './chat-message-schema.ts';
import { boundedArray, ignoredFields, samplingFields, unlessKnown } from './sampling-fields.ts';

const jsonObject = z.record(z.string(), z.unknown());

const tool = z.object({
  type: z.literal('function'),
  function: z.object({
    name: z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, 'must be 1 to 64 of A-Z, a-z, 0-9, "_", "-" and "."'),
    description: z.string().nullish(),
    parameters: jsonObject.nullish(),
    strict: z.boolean().nullish(),
  }),
});

const toolChoice = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    z.object({ type: z.literal('function'), function: z.object({ name: z.string().min(1).max(64) }) }),
  ],
  { error: 'expected "none", "auto", "required" or {"type": "function", "function": {"name": …}}' },
);

const responseFormat = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('text') }),
    z.object({ type: z.literal('json_object') }),
    z.object({
      type: z.literal('json_schema'),
      json_schema: z.object({
        name: z.string().min(1).max(64),
        description: z.string().nullish(),
        schema: jsonObject.nullish(),
        strict: z.boolean().nullish(),
      }),
    }),
  ],
  { error: unlessKnown('type', 'text, json_object, json_schema') },
);

/** Counted before the messages are checked one by one. */
function fewParts(list: unknown): boolean {
  if (!Array.isArray(list)) return true;
  let parts = 0;
  for (const message of list) if (Array.isArray(message?.content)) parts += message.content.length;
  return parts <= MAX_CONTENT_PARTS;
}

const messages = z
  .custom<unknown>(fewParts, {
    error: `at most ${MAX_CONTENT_PARTS} content parts are accepted, all messages together`,
  })
  .pipe(boundedArray(chatMessageSchema, 2048).refine((list) => list.length > 0, 'at least one message'));

/** The body of `POST /v1/chat/completions`. Fields that it does not name go to the engine as they are. */
export const chatBodySchema = z
  .looseObject({
    ...samplingFields,
    ...ignoredFields,
    messages: messages.meta({ description: 'The conversation so far.', minItems: 1 }),
    max_completion_tokens: z.int().min(1).nullish().describe('A newer name of `max_tokens`; it has precedence.'),
    logprobs: z.boolean().nullish().describe('Adds the log-probability of each token.'),
    top_logprobs: z.int().min(0).max(20).nullish().describe('Adds so many alternatives per token; needs `logprobs`.'),
    reasoning_effort: z
      .string()
      .max(32)
      .nullish()
      .describe('How much a model thinks before it answers, in its own words.'),
    response_format: responseFormat.nullish().describe('Holds the answer to JSON, or to the JSON of a schema.'),
    tools: boundedArray(tool, 128).nullish().describe('Functions that the model may call.'),
    tool_choice: toolChoice.nullish().describe('Which of them it may or must call.'),
    chat_template_kwargs: jsonObject.nullish().describe("Variables for the model's chat template."),
  })
  .refine((body) => !body.top_logprobs || body.logprobs === true, {
    error: 'needs logprobs: true',
    path: ['top_logprobs'],
  });

/** See chatBodySchema. */
export type ChatBody = z.output<typeof chatBodySchema>;
