import { z } from 'zod';
import { chatMessageSchema } from './chat-message-schema.ts';
import { boundedArray, ignoredFields, samplingFields } from './sampling-fields.ts';

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

const toolChoice = z.union([
  z.enum(['none', 'auto', 'required']),
  z.object({ type: z.literal('function'), function: z.object({ name: z.string().min(1).max(64) }) }),
]);

const responseFormat = z.discriminatedUnion('type', [
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
]);

/** The body of `POST /v1/chat/completions`. Fields that it does not name go to the engine as they are. */
export const chatBodySchema = z
  .looseObject({
    ...samplingFields,
    ...ignoredFields,
    messages: boundedArray(chatMessageSchema, 2048).refine((messages) => messages.length > 0, 'at least one message'),
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
