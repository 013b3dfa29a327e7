import { z } from 'zod';
import { RequestError } from './request-error.ts';

/** An optional field; `null` means unset, as in OpenAI's own definition. */
const unset = <T extends z.ZodType>(type: T) => type.nullish().transform((value) => value ?? undefined);

const tokenId = z.int().nonnegative();
const textPart = z.object({ type: z.literal('text'), text: z.string() });
export const messagesField = z
  .array(
    z.object({
      role: z.enum(['system', 'developer', 'user', 'assistant']),
      content: z.union([z.string(), z.array(textPart)]),
    }),
  )
  .min(1);
export const promptField = z.union([z.string(), z.array(tokenId).min(1), z.array(z.string()).length(1)]);

const MAX_STOPS = 16;
const MAX_STOP_CHARACTERS = 1024;
const stopField = z.string().min(1).max(MAX_STOP_CHARACTERS);

/** What chat and text completions have in common. Ranges are those of OpenAI, or of vLLM for its own fields. */
export const commonFields = {
  model: unset(z.string()),
  stream: unset(z.boolean()),
  stream_options: unset(z.object({ include_usage: unset(z.boolean()), continuous_usage_stats: unset(z.boolean()) })),
  return_token_ids: unset(z.boolean()),
  max_tokens: unset(z.int().min(1)),
  stop: unset(z.union([stopField, z.array(stopField).max(MAX_STOPS)])),
  temperature: unset(z.number().min(0).max(2)),
  top_p: unset(z.number().min(0).max(1)),
  top_k: unset(z.int().min(-1)),
  min_p: unset(z.number().min(0).max(1)),
  seed: unset(z.int()),
  frequency_penalty: unset(z.number().min(-2).max(2)),
  presence_penalty: unset(z.number().min(-2).max(2)),
  repetition_penalty: unset(z.number().gt(0).max(2)),
  logit_bias: unset(z.record(z.string().regex(/^\d+$/, 'must be a token id'), z.number().min(-100).max(100))),
  ignore_eos: unset(z.boolean()),
};

type Neutral = (value: unknown) => boolean;
const isOneOf =
  (...values: unknown[]): Neutral =>
  (value) =>
    values.includes(value);
const isEmptyArray: Neutral = (value) => Array.isArray(value) && value.length === 0;
const never: Neutral = () => false;

/** Fields that would change the answer and that this engine cannot honour, with the values that change nothing. */
const UNSUPPORTED: Readonly<Record<string, Neutral>> = {
  n: isOneOf(1),
  best_of: isOneOf(1),
  logprobs: isOneOf(false),
  top_logprobs: isOneOf(0),
  prompt_logprobs: isOneOf(false, 0),
  echo: isOneOf(false),
  suffix: isOneOf(''),
  tools: isEmptyArray,
  tool_choice: isOneOf('none', 'auto'),
  functions: isEmptyArray,
  function_call: isOneOf('none', 'auto'),
  response_format: (value) => typeof value === 'object' && value !== null && 'type' in value && value.type === 'text',
  modalities: (value) => Array.isArray(value) && value.every((item) => item === 'text'),
  audio: never,
  prediction: never,
  guided_json: never,
  guided_regex: never,
  guided_choice: never,
  guided_grammar: never,
  structured_outputs: never,
  chat_template: never,
  chat_template_kwargs: never,
  use_beam_search: isOneOf(false),
  min_tokens: isOneOf(0),
  bad_words: isEmptyArray,
  stop_token_ids: isEmptyArray,
};

/** Refuses the first field that cannot be honoured, by name. */
export function refuseUnsupported(body: object): void {
  for (const [field, value] of Object.entries(body)) {
    const neutral = Object.hasOwn(UNSUPPORTED, field) ? UNSUPPORTED[field] : undefined;
    if (neutral === undefined || value === null || neutral(value)) continue;
    throw new RequestError(400, `This engine does not support '${field}'. Leave it out.`, {
      param: field,
      code: 'unsupported_parameter',
    });
  }
}

/** `messages[0].content` from a path of keys and indexes. */
function fieldName(path: readonly PropertyKey[]): string {
  return path.reduce<string>((name, key) => {
    if (typeof key === 'number') return `${name}[${key}]`;
    return name === '' ? String(key) : `${name}.${String(key)}`;
  }, '');
}

/** Parses a JSON object against a schema; throws a RequestError that names the field. */
export function parseBody<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new RequestError(400, 'The body must be a JSON object.');
  }
  refuseUnsupported(body);
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = fieldName(issue?.path ?? []);
  throw new RequestError(400, `Invalid value for '${field}': ${issue?.message ?? 'not accepted'}.`, {
    param: field,
    code: 'invalid_value',
  });
}
