import { create } from '@bufbuild/protobuf';
import { z } from 'zod';
import { FinishReason, UsageSchema } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { itemObject, responseObject } from './response-object.ts';

const status = z.enum(['in_progress', 'completed', 'incomplete']);
const logprob = z.object({ token: z.string(), logprob: z.number(), bytes: z.array(z.int()) });

const output = z.discriminatedUnion('type', [
  z.object({
    id: z.string(),
    type: z.literal('reasoning'),
    status,
    summary: z.array(z.never()),
    content: z.array(z.object({ type: z.literal('reasoning_text'), text: z.string() })),
  }),
  z.object({
    id: z.string(),
    type: z.literal('message'),
    role: z.literal('assistant'),
    status,
    content: z.array(
      z.object({
        type: z.literal('output_text'),
        text: z.string(),
        annotations: z.array(z.never()),
        logprobs: z.array(logprob.extend({ top_logprobs: z.array(logprob) })),
      }),
    ),
  }),
  z.object({
    id: z.string(),
    type: z.literal('function_call'),
    status,
    call_id: z.string(),
    name: z.string(),
    arguments: z.string().describe('JSON, as the model wrote it.'),
  }),
]);

/** The answer; what it repeats of the request is not listed here. */
export const responseSchema = z.looseObject({
  id: z.string().describe('`resp_` and the id of the request.'),
  object: z.literal('response'),
  created_at: z.int().describe('Unix time in seconds.'),
  status,
  error: z.null(),
  incomplete_details: z.object({ reason: z.enum(['max_output_tokens', 'content_filter']) }).nullable(),
  model: z.string(),
  output: z.array(output),
  usage: z
    .object({
      input_tokens: z.int(),
      input_tokens_details: z.object({ cached_tokens: z.int() }),
      output_tokens: z.int(),
      output_tokens_details: z.object({ reasoning_tokens: z.int() }),
      total_tokens: z.int(),
    })
    .nullable(),
});

/** One event of the stream; what it has besides depends on its type. */
export const responseEventSchema = z.looseObject({
  type: z.string().describe('Also the name of the event, e.g. `response.output_text.delta`.'),
  sequence_number: z.int(),
});

const item = { kind: 'message', id: 'msg_1_0', text: 'Hello!', logprobs: [] } as const;

/** One. */
export const RESPONSE_EXAMPLE = responseObject(
  { id: 'resp_1', model: 'my-model', created: 1_790_000_000 },
  { model: 'my-model', input: 'Hello!', stream: undefined },
  {
    status: 'completed',
    output: [itemObject({ ...item, logprobs: [] }, 'completed')],
    reason: FinishReason.STOP,
    usage: create(UsageSchema, { promptTokens: 12, completionTokens: 2 }),
  },
);

const delta = {
  type: 'response.output_text.delta',
  ...{ sequence_number: 4, item_id: 'msg_1_0', output_index: 0, content_index: 0, delta: 'Hello!', logprobs: [] },
};
const completed = { type: 'response.completed', sequence_number: 8, response: RESPONSE_EXAMPLE };

/** The essential part of a short stream. */
export const EVENTS_EXAMPLE = [delta, completed]
  .map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
  .join('');
