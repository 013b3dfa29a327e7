import { STATUS_CODES } from 'node:http';
import type { LimitState } from '../../../gen/mesh/quota/v1/limit_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import { isAnthropicShaped, isOpenAiShaped } from '../../shared/transport/error-shape.ts';
import { anthropicError } from './anthropic-error.ts';
import { HttpError } from './http-error.ts';
import { PROBLEM_OF_REASON } from './problem-table.ts';

/** An error as HTTP tells it. */
export interface Problem {
  readonly status: number;
  readonly message: string;
  /** OpenAI's class of error, e.g. "invalid_request_error". */
  readonly type: string;
  readonly code: string | null;
  /** The field or header at fault. */
  readonly param: string | null;
  /** Headers that belong to the error, `Retry-After` among them; not the rate-limit headers. */
  readonly headers: Readonly<Record<string, string>>;
  /** The caller's limits where the error brought them. */
  readonly limits: readonly LimitState[];
}

/** Wait that is told with 429 and 503 when the error names none, in milliseconds. */
const DEFAULT_RETRY_AFTER_MS = 1000;
/** Longest wait with 429 that a client should sit out by itself, in milliseconds. */
const LONGEST_CLIENT_WAIT_MS = 60_000;

/** The one reason for which Fastify itself answers 400: it has no parser of bodies but ours. */
const MALFORMED_PATH = 'The path is malformed: in it "%" stands before two hexadecimal digits, and these make UTF-8.';

/** Any thrown value → what the client is told. */
export function problemOf(error: unknown): Problem {
  if (error instanceof HttpError) return httpProblem(error.status, error.code, error.message, error);
  const status = frameworkStatus(error);
  if (status === 400) return httpProblem(status, 'invalid_request', MALFORMED_PATH);
  if (status !== undefined) return httpProblem(status, 'invalid_request', STATUS_CODES[status] ?? 'Bad Request');
  return meshProblem(asMeshError(error));
}

/** The body of an error answer. Under the OpenAI-shaped routes `error` is an object, elsewhere a short string. */
export function errorBody(told: Problem, path: string): string {
  const problem = inWordsOf(path, told);
  if (isAnthropicShaped(path)) {
    return JSON.stringify({ type: 'error', detail: problem.message, error: anthropicError(problem) });
  }
  if (isOpenAiShaped(path)) return JSON.stringify({ detail: problem.message, error: openAiError(problem) });
  // What clients of the task queue compare with.
  const error = problem.status === 429 ? 'Rate limit exceeded' : (STATUS_CODES[problem.status] ?? 'Error');
  return JSON.stringify({ detail: problem.message, error, status_code: problem.status });
}

/** The event that ends a stream which broke after its head had left. */
export function errorFrame(error: MeshError): string {
  return `data: ${JSON.stringify({ error: openAiError(meshProblem(error)) })}\n\n`;
}

/** Clients of `/chat` know an engine's failure by how its text begins; the body has one message. */
function inWordsOf(path: string, problem: Problem): Problem {
  if (!/^\/chat(?:[/?]|$)/.test(path)) return problem;
  const message = problem.status < 500 ? problem.message : `Error generating response: ${problem.message}`;
  return { ...problem, message, param: problem.param === 'messages' ? 'message' : problem.param };
}

function openAiError({ message, type, param, code }: Problem): Record<string, string | null> {
  return { message, type, param, code };
}

function httpProblem(status: number, code: string, message: string, error?: HttpError): Problem {
  const type = status < 500 ? 'invalid_request_error' : 'server_error';
  return { status, message, type, code, param: error?.param ?? null, headers: error?.headers ?? {}, limits: [] };
}

function meshProblem(error: MeshError): Problem {
  const row = PROBLEM_OF_REASON[error.reason];
  const message = row.text ?? error.message;
  const headers = { ...retryHeaders(error, row.status, row.noRetry === true) };
  if (row.status === 401) headers['www-authenticate'] = 'Bearer';
  return {
    status: row.status,
    message,
    type: row.type,
    code: row.code,
    param: paramOf(error),
    headers,
    limits: error.limits,
  };
}

function retryHeaders(error: MeshError, status: number, noRetry: boolean): Record<string, string> {
  const headers: Record<string, string> = {};
  let stop = noRetry;
  if (status === 429 || status === 503) {
    const waitMs = Math.max(1, Math.ceil(error.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS));
    headers['retry-after'] = String(Math.ceil(waitMs / 1000));
    headers['retry-after-ms'] = String(waitMs);
    stop ||= status === 429 && waitMs > LONGEST_CLIENT_WAIT_MS;
  }
  // Past the first token a second attempt would cost the same tokens again.
  if (error.reason === 'DEADLINE_EXCEEDED') stop ||= error.metadata.limit !== 'first_token';
  if (stop) headers['x-should-retry'] = 'false';
  return headers;
}

/** The field of the contract → the field of the request body, e.g. "sampling.choices" → "n". */
function paramOf(error: MeshError): string | null {
  if (error.reason === 'MODEL_NOT_FOUND') return 'model';
  if (error.reason === 'CONTEXT_LENGTH_EXCEEDED') return error.metadata.field ?? 'messages';
  const field = error.metadata.field?.replace(/^(?:sampling|engine_options)\./, '');
  return field === 'choices' ? 'n' : (field ?? null);
}

/** The status of an error that Fastify itself threw; its messages are not ours to send. */
function frameworkStatus(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('statusCode' in error)) return undefined;
  if (typeof error.code !== 'string' || !error.code.startsWith('FST_')) return undefined;
  const status = error.statusCode;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : undefined;
}
