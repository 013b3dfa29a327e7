import type { Endpoint } from '../http/endpoint.ts';
import { routingHeaders } from '../http/routing-headers.ts';
import { chatAnswer } from './chat-answer.ts';
import { chatAnswers } from './chat-answer-schema.ts';
import { chatChunks } from './chat-chunk.ts';
import { chatRequest } from './chat-request.ts';
import { type ChatBody, chatBodySchema } from './chat-schema.ts';
import { type Dialect, type GenerationRouteContext, generationRoute } from './generation-route.ts';

/** How chat speaks. */
export const chatDialect: Dialect<ChatBody> = {
  schema: chatBodySchema,
  idPrefix: 'chatcmpl-',
  toRequest: chatRequest,
  chunks: chatChunks,
  answer: chatAnswer,
};

const messages = [{ role: 'user', content: 'Hello!' }];

/** `POST /v1/chat/completions`. */
export const chatEndpoint: Endpoint<GenerationRouteContext> = {
  method: 'POST',
  path: '/v1/chat/completions',
  access: 'caller',
  startsWork: true,
  tag: 'OpenAI',
  summary: 'Answer a conversation',
  description:
    "As OpenAI's. With `stream: true` the answer is an event stream that ends with `data: [DONE]`. Fields that are not named " +
    'here go to the engine as they are.',
  headers: routingHeaders,
  body: {
    name: 'ChatRequest',
    schema: chatBodySchema,
    examples: { plain: { messages, max_tokens: 64 }, stream: { messages, max_tokens: 64, stream: true } },
  },
  answers: chatAnswers,
  errors: { 404: 'There is no such model.' },
  handler: (context) => generationRoute(chatDialect, context),
};
