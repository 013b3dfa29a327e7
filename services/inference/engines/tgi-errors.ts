import { MeshError } from '../../shared/errors/mesh-error.ts';
import { engineFailed, errorOfResponse, type OpenAiAnswer } from './openai-errors.ts';
import { publicMessage } from './told-error.ts';

/** How long a caller shall wait; TGI does not say. In milliseconds. */
const RETRY_AFTER_MS = 1_000;

/** How its messages begin, for the OpenAI routes, which leave the type out and call everything 422. */
const TYPES_BY_MESSAGE: readonly (readonly [RegExp, string])[] = [
  [/^Model is overloaded/, 'overloaded'],
  [/^Input validation error/, 'validation'],
  [/^(?:Template error|Missing template)/, 'template_error'],
  [/^Tool error/, 'tool_error'],
];

/** Types that speak of the caller's own input. */
const INPUT_TYPES = new Set([
  'validation',
  'template_error',
  'missing_template_variable',
  'tool_error',
  'suffix not supported',
  'batch size exceeded',
]);

/** Its words for fields that callers know under another name. */
const FIELDS: Readonly<Record<string, string>> = {
  inputs: 'prompt',
  max_new_tokens: 'max_tokens',
  top_n_tokens: 'top_logprobs',
};

/**
 * What an answer of TGI means that is no stream: `{error, error_type}`, or the plain text of a body that it could not
 * read.
 */
export function errorOfTgiResponse(engine: string, answer: OpenAiAnswer): MeshError {
  let told: unknown;
  try {
    told = JSON.parse(answer.body);
  } catch {
    if (answer.status !== 422 || answer.body === '') return errorOfResponse(engine, answer);
    const metadata = { engine };
    return new MeshError('INVALID_FIELD', publicMessage(answer.body), { metadata, cause: new Error('status 422') });
  }
  return errorOfTgiEvent(engine, told) ?? errorOfResponse(engine, answer);
}

/** What an error event means. Undefined: it is none. `told` is `{error, error_type}`, or `{error: {message}}` of an OpenAI route. */
export function errorOfTgiEvent(engine: string, told: unknown): MeshError | undefined {
  const { error, error_type: toldType } = (told ?? {}) as { error?: unknown; error_type?: unknown };
  const inner = typeof error === 'object' && error !== null ? (error as { message?: unknown }).message : error;
  if (typeof inner !== 'string')
    return error ? engineFailed(engine, new Error('an error without a message')) : undefined;
  const type = typeof toldType === 'string' ? toldType : TYPES_BY_MESSAGE.find(([pattern]) => pattern.test(inner))?.[1];
  const cause = new Error(`error_type ${type ?? 'unknown'}`);
  if (type === 'overloaded') {
    const options = { metadata: { engine }, retryAfterMs: RETRY_AFTER_MS, cause };
    return new MeshError('ENGINE_BUSY', 'The engine is busy. Try again later.', options);
  }
  if (type === undefined || !INPUT_TYPES.has(type)) return engineFailed(engine, cause);
  return contextLength(inner, cause) ?? invalidInput(engine, inner, cause);
}

/** "`inputs` must have less than 1024 tokens. Given: 1500", or the sum with `max_new_tokens`. */
function contextLength(message: string, cause: Error): MeshError | undefined {
  const long = /`inputs` must have less than (\d+) tokens\. Given: (\d+)/.exec(message);
  const sum = /must be <= (\d+)\. Given: (\d+) `inputs` tokens and (\d+) `max_new_tokens`/.exec(message);
  const [, contextTokens, promptTokens, wantedTokens] = sum ?? long ?? [];
  if (contextTokens === undefined || promptTokens === undefined) return undefined;
  const wanted = wantedTokens === undefined ? '' : ` and ${wantedTokens} are asked for`;
  const problem = `The prompt has ${promptTokens} tokens${wanted}; the engine takes ${contextTokens}.`;
  const metadata = { prompt_tokens: promptTokens, context_tokens: contextTokens };
  return new MeshError('CONTEXT_LENGTH_EXCEEDED', problem, { metadata, cause });
}

function invalidInput(engine: string, message: string, cause: Error): MeshError {
  const theirs = /`(\w+)`/.exec(message)?.[1];
  const field = theirs === undefined ? undefined : (FIELDS[theirs] ?? theirs);
  const words = message.replace(/^Input validation error: /, '').replace(/`(\w+)`/g, (_, name) => FIELDS[name] ?? name);
  const metadata = { engine, ...(field === undefined ? {} : { field }) };
  return new MeshError('INVALID_FIELD', publicMessage(words), { metadata, cause });
}
