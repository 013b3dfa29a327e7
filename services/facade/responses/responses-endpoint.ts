import type { Endpoint } from '../http/endpoint.ts';
import { routingHeaders } from '../http/routing-headers.ts';
import type { GenerationRouteContext } from '../openai/generation-route.ts';
import { type Translation, translatedRoute } from '../openai/translated-route.ts';
import { responseAnswer } from './response-answer.ts';
import { ResponseEvents } from './response-events.ts';
import { EVENTS_EXAMPLE, RESPONSE_EXAMPLE, responseEventSchema, responseSchema } from './response-schema.ts';
import { responsesRequest } from './responses-request.ts';
import { type ResponsesBody, responsesBodySchema } from './responses-schema.ts';

/** The fields of a chat that are called otherwise here. */
const FIELDS: Readonly<Record<string, string>> = {
  max_tokens: 'max_output_tokens',
  logprobs: 'include',
  reasoning_effort: 'reasoning.effort',
  response_format: 'text.format',
};

/** How responses speak. */
export const responsesTranslation: Translation<ResponsesBody> = {
  schema: responsesBodySchema,
  idPrefix: 'resp_',
  toRequest: responsesRequest,
  answer: responseAnswer,
  events: (head, body) => new ResponseEvents(head, body),
  // Items and messages are not the same in number.
  fieldOf: (field) => (/^messages\b/.test(field) ? 'input' : (FIELDS[field] ?? field)),
};

/** `POST /v1/responses`. */
export const responsesEndpoint: Endpoint<GenerationRouteContext> = {
  method: 'POST',
  path: '/v1/responses',
  access: 'caller',
  startsWork: true,
  tag: 'OpenAI',
  summary: 'Answer a conversation, in the form of Responses',
  description:
    "As OpenAI's, without a memory: `previous_response_id`, `conversation` and `background` are refused by name, `store` has no " +
    'effect. Tools are functions.',
  headers: routingHeaders,
  body: {
    name: 'ResponsesRequest',
    schema: responsesBodySchema,
    examples: {
      plain: { input: 'Hello!', max_output_tokens: 64 },
      stream: { instructions: 'Be brief.', input: [{ role: 'user', content: 'Hello!' }], stream: true },
    },
  },
  answers: {
    200: {
      description: 'The answer.',
      json: { name: 'Response', schema: responseSchema, example: RESPONSE_EXAMPLE },
      events: { name: 'ResponseEvent', schema: responseEventSchema, example: EVENTS_EXAMPLE },
    },
  },
  errors: { 404: 'There is no such model.' },
  handler: (context) => translatedRoute(responsesTranslation, context),
};
