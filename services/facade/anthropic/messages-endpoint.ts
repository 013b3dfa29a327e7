import { z } from 'zod';
import type { Endpoint } from '../http/endpoint.ts';
import { routingHeaders } from '../http/routing-headers.ts';
import type { GenerationRouteContext } from '../openai/generation-route.ts';
import { type Translation, translatedRoute } from '../openai/translated-route.ts';
import { MessageEvents } from './message-events.ts';
import { messageAnswer } from './message-object.ts';
import { messagesRequest } from './messages-request.ts';
import { type MessagesBody, messagesBodySchema } from './messages-schema.ts';

/** The fields of a chat that are called otherwise here. */
const FIELDS: Readonly<Record<string, string>> = {
  stop: 'stop_sequences',
  reasoning_effort: 'output_config.effort',
  response_format: 'output_config.format',
};

/** How messages speak. */
export const messagesTranslation: Translation<MessagesBody> = {
  schema: messagesBodySchema,
  idPrefix: 'msg_',
  toRequest: messagesRequest,
  answer: messageAnswer,
  events: (head) => new MessageEvents(head),
  // A message here may be several there.
  fieldOf: (field) => (/^messages\b/.test(field) ? 'messages' : (FIELDS[field] ?? field)),
  headersOf: ({ id }) => ({ 'request-id': id }),
};

const text = z.object({ type: z.literal('text'), text: z.string(), citations: z.null() });
const thinking = z.object({ type: z.literal('thinking'), thinking: z.string(), signature: z.string() });
const toolUse = z.object({ type: z.literal('tool_use'), id: z.string(), name: z.string(), input: z.looseObject({}) });

/** The answer. */
export const messageSchema = z.object({
  id: z.string().describe('`msg_` and the id of the request.'),
  type: z.literal('message'),
  role: z.literal('assistant'),
  model: z.string(),
  content: z.array(z.discriminatedUnion('type', [thinking, text, toolUse])),
  stop_reason: z.enum(['end_turn', 'max_tokens', 'stop_sequence', 'tool_use', 'refusal']).nullable(),
  stop_sequence: z.string().nullable(),
  usage: z.object({
    input_tokens: z.int().describe('What the engine did not know already.'),
    cache_creation_input_tokens: z.int(),
    cache_read_input_tokens: z.int(),
    output_tokens: z.int(),
  }),
});

const EXAMPLE: z.output<typeof messageSchema> = {
  ...{ id: 'msg_1', type: 'message', role: 'assistant', model: 'my-model' },
  content: [{ type: 'text', text: 'Hello!', citations: null }],
  ...{ stop_reason: 'end_turn', stop_sequence: null },
  usage: { input_tokens: 12, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 2 },
};

const DELTA = { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hello!' } };

/** `POST /v1/messages`. */
export const messagesEndpoint: Endpoint<GenerationRouteContext> = {
  method: 'POST',
  path: '/v1/messages',
  access: 'caller',
  startsWork: true,
  tag: 'Other APIs',
  summary: 'Answer a conversation, in the form of Anthropic',
  description:
    "As Anthropic's Messages. Tools are the caller's own. An answer cannot be begun by the caller, and what a model thought is " +
    'not signed.',
  headers: routingHeaders,
  body: {
    name: 'MessagesRequest',
    schema: messagesBodySchema,
    examples: {
      plain: { messages: [{ role: 'user', content: 'Hello!' }], max_tokens: 64 },
      stream: { messages: [{ role: 'user', content: 'Hello!' }], max_tokens: 64, stream: true },
    },
  },
  answers: {
    200: {
      description: 'The answer.',
      json: { name: 'Message', schema: messageSchema, example: EXAMPLE },
      events: {
        name: 'MessageEvent',
        schema: z.looseObject({ type: z.string().describe('Also the name of the event.') }),
        example: `event: content_block_delta\ndata: ${JSON.stringify(DELTA)}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n`,
      },
    },
  },
  errors: { 404: 'There is no such model.' },
  handler: (context) => translatedRoute(messagesTranslation, context),
};
