/** The longest message of an engine that is handed on, in characters. */
const MESSAGE_LIMIT = 300;

/** How much of a message is looked at, in characters. */
const READ_LIMIT = 4_000;

/** What the name of a field or an error code looks like; anything else might hold what a caller or an operator keeps to themselves. */
const FIELD_NAME = /^[\w.$[\]-]{1,200}$/;
const CODE_NAME = /^[\w.-]{1,64}$/;

/** Addresses, and absolute paths of at least two names or with an extension; "and/or" and "</s>" are neither. */
const URLS = /\b[a-z][a-z0-9+.-]{0,20}:\/\/[^\s'"`<>]*/gi;
const PATHS = /(?<![\w<])(?:(?:\/[^\s'"`/\\,;:()<>[\]{}|]+){2,}\/?|\/[\w-]+\.\w+|[A-Za-z]:\\[^\s'"`<>|]+)/g;

/** "2 validation errors:", and what each says: `'msg': 'Input should be …'`. */
const VALIDATION_ERRORS = /^\d+ validation errors?:\n/;
const DICT_MESSAGE = /'msg': (?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/g;

/** What an engine says of an error. */
export interface ToldError {
  /** As the engine says it, to be read and never handed on. */
  readonly message: string;
  readonly field: string | undefined;
  readonly code: string | undefined;
  readonly promptTokens: number | undefined;
  readonly contextTokens: number | undefined;
}

/**
 * The JSON of an engine.
 *
 * @throws Error for what is none; unlike the parser's own it does not quote the text.
 */
export function parseEngineJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new Error('the engine sent no JSON'); // The parser's message quotes what may be somebody's text.
  }
}

/** `{error: {message, param, code}}`, the same without the wrapping as older servers send it, or FastAPI's `{detail}`. */
export function readToldError(body: string): ToldError | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return undefined; // No JSON: it says nothing that could be handed on.
  }
  const detail = property(parsed, 'detail');
  if (detail !== undefined) return readDetail(detail);
  const inner = property(parsed, 'error');
  const error = typeof inner === 'object' && inner !== null ? inner : parsed;
  const message = typeof inner === 'string' ? inner : property(error, 'message');
  if (typeof message !== 'string' || message === '') return undefined;
  return {
    message: withoutDicts(message.slice(0, READ_LIMIT)),
    field: fieldName(property(error, 'param')),
    code: codeOf(error),
    promptTokens: count(property(error, 'n_prompt_tokens')),
    contextTokens: count(property(error, 'n_ctx')),
  };
}

/** What an engine says of the caller's input, fit for the caller: no address, no path, not long. */
export function publicMessage(message: string): string {
  const clean = message.replace(URLS, '<address>').replace(PATHS, '<path>');
  return (clean.length > MESSAGE_LIMIT ? `${clean.slice(0, MESSAGE_LIMIT - 1)}…` : clean).toWellFormed();
}

/** All that a log gets to see of an error: "status 500, code x". */
export function loggedCause(status: number, code: string | undefined): Error {
  return new Error(code === undefined ? `status ${status}` : `status ${status}, code ${code}`);
}

/** The code, else the type, of an error object. */
export function codeOf(error: unknown): string | undefined {
  return codeName(property(error, 'code')) ?? codeName(property(error, 'type'));
}

/** A text, or the list of what does not validate: `[{loc: ['body', 'temperature'], msg, type}]`. */
function readDetail(detail: unknown): ToldError | undefined {
  const first: unknown = Array.isArray(detail) ? detail[0] : detail;
  const message = typeof first === 'string' ? first : property(first, 'msg');
  if (typeof message !== 'string' || message === '') return undefined;
  const loc = property(first, 'loc');
  const path = Array.isArray(loc) ? loc.slice(loc[0] === 'body' ? 1 : 0) : [];
  return {
    message: message.slice(0, READ_LIMIT),
    field: fieldName(path.join('.')),
    code: codeName(property(first, 'type')),
    promptTokens: undefined,
    contextTokens: undefined,
  };
}

/** With dots and within the body, as the mesh writes it: "messages[0].content", "body.messages.0.content" → "messages.0.content". */
function fieldName(value: unknown): string | undefined {
  if (typeof value !== 'string' || !FIELD_NAME.test(value)) return undefined;
  return value.replace(/^body\./, '').replace(/\[(\w+)\]/g, '.$1');
}

/** vLLM's list of what does not validate, a line each with a dictionary as Python prints it → what those say. */
function withoutDicts(message: string): string {
  if (!VALIDATION_ERRORS.test(message)) return message;
  const said = [...message.matchAll(DICT_MESSAGE)].map(([, single, double]) => single ?? double ?? '');
  return said.length === 0 ? 'The request is not valid.' : [...new Set(said)].join('; ');
}

function codeName(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && CODE_NAME.test(value) ? value : undefined;
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) ? value : undefined;
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
