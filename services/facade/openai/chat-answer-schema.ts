import { z } from 'zod';
import type { Answer } from '../http/endpoint.ts';
import { finishReason, tokenIds, USAGE_EXAMPLE, usageSchema } from './usage-schema.ts';

const bareLogprob = z.object({
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.int()).nullable().describe('Its exact bytes, where the engine tells them.'),
});

const logprobs = z.object({
  content: z.array(bareLogprob.extend({ top_logprobs: z.array(bareLogprob) })),
  refusal: z.null(),
});

const toolCall = z.object({
  id: z.string(),
  type: z.literal('function'),
  function: z.object({ name: z.string(), arguments: z.string().describe('JSON, as the model wrote it.') }),
});

const reasoning = z
  .string()
  .optional()
  .describe('What the model thought before it answered, where the engine tells it.');

const head = {
  id: z.string().describe('`chatcmpl-` and the id of the request.'),
  created: z.int().describe('Unix time in seconds.'),
  model: z.string().describe('The model as it was asked for.'),
};

const completionSchema = z.object({
  ...head,
  object: z.literal('chat.completion'),
  choices: z.array(
    z.object({
      index: z.int(),
      message: z.object({
        role: z.literal('assistant'),
        content: z.string().nullable(),
        refusal: z.null(),
        reasoning_content: reasoning,
        tool_calls: z.array(toolCall).optional(),
      }),
      logprobs: logprobs.nullable(),
      finish_reason: finishReason,
      token_ids: tokenIds,
    }),
  ),
  usage: usageSchema.optional(),
});

const chunkSchema = z.object({
  ...head,
  object: z.literal('chat.completion.chunk'),
  choices: z.array(
    z.object({
      index: z.int(),
      delta: z.object({
        role: z.literal('assistant').optional(),
        content: z.string().optional(),
        reasoning_content: reasoning,
        tool_calls: z
          .array(
            z.object({
              index: z.int(),
              id: z.string().optional(),
              type: z.literal('function').optional(),
              function: z.object({ name: z.string().optional(), arguments: z.string().optional() }),
            }),
          )
          .optional(),
      }),
      logprobs: logprobs.optional(),
      finish_reason: finishReason.nullable(),
      token_ids: tokenIds,
    }),
  ),
  usage: usageSchema
    .nullish()
    .describe('With `stream_options.include_usage`: null until the last chunk, which has no choices.'),
});

const id = 'chatcmpl-7f3b';
const created = 1_795_248_000;
const model = 'chat';
const choice = (delta: object, reason: string | null): string =>
  `data: ${JSON.stringify({
    id,
    object: 'chat.completion.chunk',
    created,
    model,
    choices: [{ index: 0, delta, finish_reason: reason }],
  })}\n\n`;

/** What chat answers, in one piece and as a stream. */
export const chatAnswers: Readonly<Record<number, Answer>> = {
  200: {
    description:
      'The answer; with `stream: true` as events. A failure after the first of them is an event `{"error": …}`, and the last.',
    json: {
      name: 'ChatCompletion',
      schema: completionSchema,
      example: {
        id,
        object: 'chat.completion',
        created,
        model,
        choices: [
          {
            index: 0,
            message: { role: 'assistant', content: 'Hello!', refusal: null },
            logprobs: null,
            finish_reason: 'stop',
          },
        ],
        usage: USAGE_EXAMPLE,
      },
    },
    events: {
      name: 'ChatCompletionChunk',
      schema: chunkSchema,
      example: `${choice({ role: 'assistant', content: 'Hello' }, null)}${choice({ content: '!' }, null)}${choice({}, 'stop')}data: [DONE]\n\n`,
    },
  },
};
