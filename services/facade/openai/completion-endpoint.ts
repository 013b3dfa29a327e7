import type { Endpoint } from '../http/endpoint.ts';
import { routingHeaders } from '../http/routing-headers.ts';
import { completionAnswer, completionChunks } from './completion.ts';
import { completionAnswers } from './completion-answer-schema.ts';
import { completionRequest } from './completion-request.ts';
import { type CompletionBody, completionBodySchema } from './completion-schema.ts';
import { type Dialect, type GenerationRouteContext, generationRoute } from './generation-route.ts';

/** How completions speak. */
export const completionDialect: Dialect<CompletionBody> = {
  schema: completionBodySchema,
  idPrefix: 'cmpl-',
  toRequest: completionRequest,
  chunks: completionChunks,
  answer: completionAnswer,
};

const prompt = 'The capital of France is';

/** `POST /v1/completions`. */
export const completionEndpoint: Endpoint<GenerationRouteContext> = {
  method: 'POST',
  path: '/v1/completions',
  access: 'caller',
  startsWork: true,
  tag: 'OpenAI',
  summary: 'Continue a text',
  description:
    "As OpenAI's. With `stream: true` the answer is an event stream that ends with `data: [DONE]`. Fields that are not named " +
    'here go to the engine as they are.',
  headers: routingHeaders,
  body: {
    name: 'CompletionRequest',
    schema: completionBodySchema,
    examples: { plain: { prompt }, stream: { prompt, max_tokens: 32, stream: true } },
  },
  answers: completionAnswers,
  errors: { 404: 'There is no such model.' },
  handler: (context) => generationRoute(completionDialect, context),
};
