import { z } from 'zod';
import type { Answer } from '../http/endpoint.ts';
import { finishReason, tokenIds, USAGE_EXAMPLE, usageSchema } from './usage-schema.ts';

const logprobs = z.object({
  tokens: z.array(z.string()),
  token_logprobs: z.array(z.number()),
  top_logprobs: z.array(z.record(z.string(), z.number())),
  text_offset: z.array(z.int()).describe('Where each token begins in the text, in UTF-16 units.'),
});

const choice = {
  index: z.int(),
  text: z.string(),
  logprobs: logprobs.nullable(),
  token_ids: tokenIds,
};

const head = {
  id: z.string().describe('`cmpl-` and the id of the request.'),
  object: z.literal('text_completion'),
  created: z.int().describe('Unix time in seconds.'),
  model: z.string().describe('The model as it was asked for.'),
};

const completionSchema = z.object({
  ...head,
  choices: z.array(z.object({ ...choice, finish_reason: finishReason })),
  usage: usageSchema.optional(),
});

const chunkSchema = z.object({
  ...head,
  choices: z.array(z.object({ ...choice, finish_reason: finishReason.nullable() })),
  usage: usageSchema
    .nullish()
    .describe('With `stream_options.include_usage`: null until the last chunk, which has no choices.'),
});

const told = { id: 'cmpl-7f3b', object: 'text_completion', created: 1_795_248_000, model: 'chat' };
const frame = (text: string, reason: string | null): string =>
  `data: ${JSON.stringify({ ...told, choices: [{ index: 0, text, logprobs: null, finish_reason: reason }] })}\n\n`;

/** What text completions answer, in one piece and as a stream. */
export const completionAnswers: Readonly<Record<number, Answer>> = {
  200: {
    description:
      'The continuation; with `stream: true` as events. A failure after the first of them is an event `{"error": …}`, and the last.',
    json: {
      name: 'TextCompletion',
      schema: completionSchema,
      example: {
        ...told,
        choices: [{ index: 0, text: ' Paris.', logprobs: null, finish_reason: 'stop' }],
        usage: USAGE_EXAMPLE,
      },
    },
    events: {
      name: 'TextCompletionChunk',
      schema: chunkSchema,
      example: `${frame(' Paris', null)}${frame('.', null)}${frame('', 'stop')}data: [DONE]\n\n`,
    },
  },
};
