import type { z } from 'zod';
import type { Answer, EndpointDescription } from '../http/endpoint.ts';
import { rateLimitHeaders } from '../http/rate-limit-headers.ts';
import { errorSchemaOf, errorsOf, exampleOf } from './error-answers.ts';
import { inlineSchema } from './json-schemas.ts';

/** Names of the two ways to show a credential, which are equivalent. */
export const SECURITY_SCHEMES = {
  bearer: {
    type: 'http',
    scheme: 'bearer',
    description: 'An API key, or the `access_token` of `POST /auth/login`.',
  },
  apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'The same in a header of its own.' },
};

const ANY_CREDENTIAL = [{ bearer: [] }, { apiKey: [] }];

/** Headers that answers have, as components. */
export const HEADERS: Readonly<Record<string, object>> = {
  'X-Request-Id': {
    description: 'Names the request in logs; a well-formed one of the caller is kept.',
    schema: { type: 'string' },
  },
  'Retry-After': {
    description: 'How long to wait before trying again, in seconds.',
    schema: { type: 'integer', minimum: 1 },
  },
  ...Object.fromEntries(Object.keys(rateLimitHeaders([])).map((name) => [name, rateLimitHeader(name)])),
};

/** The Operation Object of an endpoint. */
export function operationOf(endpoint: EndpointDescription): object {
  const { access, tag, summary, description, scope, body } = endpoint;
  return {
    operationId: operationIdOf(endpoint),
    tags: [tag],
    summary,
    description: scope ? `${description}\n\nNeeds the scope \`${scope}\`.` : description,
    ...(access === 'open' ? { security: [] } : {}),
    ...(access === 'known-or-anonymous' ? { security: [...ANY_CREDENTIAL, {}] } : {}),
    parameters: parametersOf(endpoint),
    ...(body
      ? {
          requestBody: {
            required: body.required ?? true,
            content: { 'application/json': { schema: reference(body.name), examples: named(body.examples) } },
          },
        }
      : {}),
    responses: responsesOf(endpoint),
  };
}

/** E.g. "postV1ChatCompletions". */
function operationIdOf({ method, path }: EndpointDescription): string {
  const words = path.split(/[^A-Za-z0-9]+/).filter((word) => word !== '');
  const rest = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
  return method.toLowerCase() + (rest || 'Index');
}

function parametersOf({ params, query, headers }: EndpointDescription): object[] {
  return [...parametersIn('path', params), ...parametersIn('query', query), ...parametersIn('header', headers)];
}

function parametersIn(place: string, object: z.ZodObject | undefined): object[] {
  return Object.entries(object?.shape ?? {}).map(([name, field]) => {
    const { description, examples, ...schema } = inlineSchema(field as z.ZodType);
    const [example] = Array.isArray(examples) ? examples : [];
    return {
      name,
      in: place,
      required: !(field as z.ZodType).safeParse(undefined).success,
      ...(description ? { description } : {}),
      schema,
      ...(example === undefined ? {} : { example }),
    };
  });
}

function responsesOf(endpoint: EndpointDescription): Record<string, object> {
  const responses: Record<string, object> = {};
  for (const [status, when] of errorsOf(endpoint)) {
    const example = exampleOf(status, endpoint);
    const schema = reference(errorSchemaOf(endpoint).name);
    const content = { 'application/json': { schema, ...(example ? { example } : {}) } };
    responses[status] = { description: when, headers: headersOf(status, endpoint), content };
  }
  for (const [status, answer] of Object.entries(endpoint.answers)) {
    const { description } = answer;
    const content = contentOf(answer);
    responses[status] = { description, headers: headersOf(Number(status), endpoint), ...(content ? { content } : {}) };
  }
  return responses;
}

function contentOf({ json, events, types = [] }: Answer): object | undefined {
  const content: Record<string, object> = {};
  if (json) content[json.type ?? 'application/json'] = { schema: reference(json.name), example: json.example };
  if (events) {
    // OpenAPI 3.1 has no words for the events of a stream; the extension names the schema of their data.
    const schema = { type: 'string', 'x-event-data': reference(events.name) };
    content['text/event-stream'] = { schema, example: events.example };
  }
  for (const type of types) content[type] = { schema: { type: 'string' } };
  return Object.keys(content).length > 0 ? content : undefined;
}

function headersOf(status: number, { access }: EndpointDescription): object {
  const names = ['X-Request-Id'];
  if (status === 429 || status === 503) names.push('Retry-After');
  if (access !== 'open' && status !== 401) names.push(...Object.keys(rateLimitHeaders([])));
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

function rateLimitHeader(name: string): object {
  const isReset = name.includes('reset');
  const description = isReset
    ? 'Until the limit is fresh again, e.g. `6m0s`.'
    : 'A limit of the caller; 2147483647 stands for no such limit.';
  return { description, schema: { type: isReset ? 'string' : 'integer' } };
}

function named(examples: Readonly<Record<string, object>>): object {
  return Object.fromEntries(
    Object.entries(examples).map(([name, value]) => [name.replaceAll(' ', '-'), { summary: name, value }]),
  );
}

function reference(name: string): object {
  return { $ref: `#/components/schemas/${name}` };
}
