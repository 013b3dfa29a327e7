import { ModelRole } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Endpoint } from '../http/endpoint.ts';
import { routingHeaders } from '../http/routing-headers.ts';
import { chatAnswers } from '../openai/chat-answer-schema.ts';
import { chatDialect } from '../openai/chat-endpoint.ts';
import { chatRequest } from '../openai/chat-request.ts';
import { type ChatBody, chatBodySchema } from '../openai/chat-schema.ts';
import { type Dialect, type GenerationRouteContext, generationRoute } from '../openai/generation-route.ts';

/** How it speaks. */
export const textToSqlDialect: Dialect<ChatBody> = {
  ...chatDialect,
  toRequest: (body) => {
    const request = chatRequest(body);
    request.modelRole = ModelRole.TEXT_TO_SQL;
    return request;
  },
};

const messages = [
  { role: 'system', content: 'Answer in SQL. Table orders(id, customer, total_cents, created_at).' },
  { role: 'user', content: 'What did each customer spend this year?' },
];

/** `POST /text2sql`. */
export const textToSqlEndpoint: Endpoint<GenerationRouteContext> = {
  method: 'POST',
  path: '/text2sql',
  access: 'caller',
  startsWork: true,
  tag: 'Other APIs',
  summary: 'Answer a question in SQL',
  description:
    'As `/v1/chat/completions`, in body and answer. Without `model` it goes to the model that `router.text2sql` names, or to ' +
    'the default model where none is named.',
  headers: routingHeaders,
  body: {
    name: 'ChatRequest',
    schema: chatBodySchema,
    examples: { plain: { messages, max_tokens: 256 }, stream: { messages, max_tokens: 256, stream: true } },
  },
  answers: chatAnswers,
  errors: { 404: 'There is no such model.' },
  handler: (context) => generationRoute(textToSqlDialect, context),
};
