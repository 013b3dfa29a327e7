import { MeshError } from '../../shared/errors/mesh-error.ts';
import { codeOf, loggedCause, publicMessage, readToldError, type ToldError } from './told-error.ts';

/** How long a caller shall wait when the engine does not say, in milliseconds. */
const RETRY_AFTER_MS = 1_000;

/**
 * The engine answered with an error of its own or with nonsense; `cause` is for the log only. A status below 500 says that it
 * refuses, not that it is broken.
 */
export function engineFailed(engine: string, cause: unknown, status?: number): MeshError {
  const told = status === undefined ? {} : { status: String(status) };
  return new MeshError('ENGINE_FAILED', 'The engine failed.', { metadata: { engine, ...told }, cause });
}

/** The engine broke off after `tokens` tokens. */
export function engineLost(engine: string, tokens: number, cause?: unknown): MeshError {
  return new MeshError('ENGINE_LOST', 'The engine broke off before the end.', {
    metadata: { engine, tokens_delivered: String(tokens) },
    cause,
  });
}

/** The engine cannot be reached: nothing has run, another engine may be tried. */
export function noHealthyEngine(engine: string, cause?: unknown): MeshError {
  return new MeshError('NO_HEALTHY_ENGINE', 'No healthy backends', {
    metadata: { model: engine },
    retryAfterMs: RETRY_AFTER_MS,
    cause,
  });
}

/** A field that the engine cannot honour; `what` it is that is not supported, if that says more than the field's name. */
export function unsupportedField(engine: string, field: string, what?: string): MeshError {
  const problem = what === undefined ? `'${field}'` : `${what} ('${field}')`;
  return new MeshError('UNSUPPORTED_FIELD', `The engine '${engine}' does not support ${problem}.`, {
    metadata: { field, engine },
  });
}

/** A whole answer outside the token path. */
export interface OpenAiAnswer {
  readonly status: number;
  /** The header of that name. */
  readonly retryAfter: string | undefined;
  readonly body: string;
}

/** An engine, or a proxy before it, may repeat the key that it was sent; no caller learns it. */
export function withoutKey(text: string, apiKey: string | undefined): string {
  return apiKey ? text.replaceAll(apiKey, '[secret]') : text;
}

/** The same for an error that was made of such a text. */
export function errorWithoutKey(error: MeshError, apiKey: string | undefined): MeshError {
  const message = withoutKey(error.message, apiKey);
  if (message === error.message) return error;
  const { reason, metadata, cause } = error;
  return new MeshError(reason, message, { metadata, cause });
}

/** What an engine's error status means to the caller. Only what it says about the caller's own input is handed on. */
export function errorOfResponse(engine: string, response: OpenAiAnswer): MeshError {
  const { status } = response;
  const told = readToldError(response.body);
  const cause = loggedCause(status, told?.code);
  if (status === 429 || status === 503) {
    return new MeshError('ENGINE_BUSY', 'The engine is busy. Try again later.', {
      metadata: { engine },
      retryAfterMs: retryAfterMs(response.retryAfter),
      cause,
    });
  }
  if (status === 413) return new MeshError('MESSAGE_TOO_LARGE', 'The request is too large for the engine.', { cause });
  // A 404 is ours: a wrong base_url, or a model that is no longer there.
  if (!told || (status !== 400 && status !== 422)) return engineFailed(engine, cause, status);
  if (isContextLength(told)) return contextLengthExceeded(told, cause);
  return new MeshError('INVALID_FIELD', publicMessage(told.message), {
    metadata: { engine, ...(told.field === undefined ? {} : { field: told.field }) },
    cause,
  });
}

/**
 * What an error means that stands in a stream under the status 200 that was sent before: as long as no token has come, what
 * it had meant with its code as status; vLLM refuses so what only its engine can refuse.
 */
export function errorInStream(engine: string, error: unknown, tokens: number): MeshError {
  const code = Number(codeOf(error));
  if (tokens === 0 && code >= 400 && code < 600) {
    return errorOfResponse(engine, { status: code, retryAfter: undefined, body: JSON.stringify({ error }) });
  }
  return engineFailed(engine, new Error(`error in mid-stream, code ${codeOf(error)}`));
}

function isContextLength(error: ToldError): boolean {
  return (
    error.code === 'context_length_exceeded' || /context (length|size|window)|maximum model length/i.test(error.message)
  );
}

function contextLengthExceeded(error: ToldError, cause: Error): MeshError {
  const contextTokens = error.contextTokens ?? firstNumber(/context (?:length|size)\D{0,40}?(\d+)/i, error.message);
  const promptTokens =
    error.promptTokens ??
    firstNumber(/(\d+) (?:input tokens|in the messages)|(?:prompt|input)\D{0,40}?(\d+) tokens/i, error.message);
  return new MeshError('CONTEXT_LENGTH_EXCEEDED', publicMessage(error.message), {
    metadata: {
      ...(promptTokens === undefined ? {} : { prompt_tokens: String(promptTokens) }),
      ...(contextTokens === undefined ? {} : { context_tokens: String(contextTokens) }),
    },
    cause,
  });
}

function firstNumber(pattern: RegExp, message: string): number | undefined {
  const groups = pattern.exec(message)?.slice(1) ?? [];
  const digits = groups.find((group) => group !== undefined);
  return digits === undefined ? undefined : Number(digits);
}

function retryAfterMs(header: string | undefined): number {
  const seconds = Number(header);
  return header !== undefined && Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : RETRY_AFTER_MS;
}
