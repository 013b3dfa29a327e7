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
    messages,
    max_completion_tokens: z.int().min(1).nullish(),
    logprobs: z.boolean().nullish(),
    top_logprobs: z.int().min(0).max(20).nullish(),
    reasoning_effort: z.string().max(32).nullish(),
    response_format: responseFormat.nullish(),
    tools: boundedArray(tool, 128).nullish(),
    tool_choice: toolChoice.nullish(),
    chat_template_kwargs: jsonObject.nullish(),
  })
  .refine((body) => !body.top_logprobs || body.logprobs === true, {
    error: 'needs logprobs: true',
    path: ['top_logprobs'],
  });

/** See chatBodySchema. */
export type ChatBody = z.output<typeof chatBodySchema>;
