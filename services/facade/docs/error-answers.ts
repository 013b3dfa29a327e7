import { z } from 'zod';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { isAnthropicShaped, isOpenAiShaped } from '../../shared/transport/error-shape.ts';
import type { EndpointDescription } from '../http/endpoint.ts';
import { errorBody, problemOf } from '../http/errors.ts';
import { HttpError } from '../http/http-error.ts';

const detail = z.string().describe('What was wrong and what to do.');

const errorObject = z.object({
  message: z.string(),
  type: z.string().describe('The class of error, e.g. `invalid_request_error`.'),
  param: z.string().nullable().describe('The field at fault.'),
  code: z.string().nullable(),
});

/** An error under the OpenAI-shaped routes. */
const openAiErrorSchema = z.object({ detail, error: errorObject });

/** An error of Anthropic's routes. */
const anthropicErrorSchema = z.object({ type: z.literal('error'), detail, error: errorObject });

/** An error elsewhere. */
const plainErrorSchema = z.object({ detail, error: z.string(), status_code: z.int() });

/** The schema of an endpoint's errors, with its name. */
export function errorSchemaOf({ path }: EndpointDescription): { name: string; schema: z.ZodType } {
  if (isAnthropicShaped(path)) return { name: 'AnthropicError', schema: anthropicErrorSchema };
  return isOpenAiShaped(path)
    ? { name: 'OpenAiError', schema: openAiErrorSchema }
    : { name: 'PlainError', schema: plainErrorSchema };
}

/** When a status comes, and an error that has it. */
const STATUSES: Readonly<Record<number, readonly [when: string, example: Error]>> = {
  400: ['Malformed, out of range, or refused by name.', new MeshError('INVALID_FIELD', 'The field is not accepted.')],
  401: ['No credential, or a wrong one.', new MeshError('CREDENTIAL_MISSING', 'Invalid API key')],
  403: ['The caller is known but may not.', new MeshError('SCOPE_MISSING', 'This key does not have the scope.')],
  404: ['It does not exist.', new MeshError('NOT_FOUND', 'It does not exist.')],
  408: ['The body did not arrive in time.', new HttpError(408, 'request_timeout', 'The body did not arrive in time.')],
  409: ['It conflicts with what is.', new MeshError('CONFLICT', 'It conflicts with what is.')],
  413: ['The body is too large.', new MeshError('MESSAGE_TOO_LARGE', 'The body is too large.')],
  415: ['The body is not JSON, or compressed.', new HttpError(415, 'unsupported_media_type', 'The body must be JSON.')],
  429: ['A limit is reached; nothing was taken.', new MeshError('RATE_LIMIT_EXCEEDED', 'Rate limit exceeded.')],
  502: ['The engine answered nonsense.', new MeshError('ENGINE_FAILED', 'The engine failed.')],
  503: ['No engine can take it now.', new MeshError('NO_HEALTHY_ENGINE', 'No healthy backends')],
  504: ['The deadline passed.', new MeshError('DEADLINE_EXCEEDED', 'Gateway timeout')],
};

/** The statuses of an endpoint's errors, with when they come: those that it names and those that follow from what it is. */
export function errorsOf({ access, body, startsWork, errors }: EndpointDescription): ReadonlyMap<number, string> {
  const statuses = new Set<number>();
  if (access !== 'open') for (const status of [400, 401, 403]) statuses.add(status);
  if (body) for (const status of [400, 408, 413, 415]) statuses.add(status);
  if (startsWork) for (const status of [429, 502, 503, 504]) statuses.add(status);
  const all = new Map([...statuses].map((status) => [status, STATUSES[status]?.[0] ?? '']));
  for (const [status, when] of Object.entries(errors ?? {})) all.set(Number(status), when);
  return new Map([...all].sort(([a], [b]) => a - b));
}

/** What the body of an error with this status looks like, by example. */
export function exampleOf(status: number, { path }: EndpointDescription): unknown {
  const error = STATUSES[status]?.[1];
  return error && JSON.parse(errorBody(problemOf(error), path));
}
