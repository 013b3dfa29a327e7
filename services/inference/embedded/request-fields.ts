import { z } from 'zod';
import { isNeutral } from '../neutral-values.ts';
import { isJsonObject } from './json-schema/schema-node.ts';
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

// Not z.record: a member may be called `__proto__`.
const jsonObject = z.custom<object>(isJsonObject, 'must be a JSON Schema as an object');
const responseFormat = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({ type: z.literal('json_schema'), json_schema: z.object({ schema: unset(jsonObject) }) }),
]);

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
  response_format: unset(responseFormat),
  guided_json: unset(jsonObject),
  /** Ours alone: what of the answer there is already, as tokens or as text. It goes on right after it. */
  continue_token_ids: unset(z.array(tokenId).min(1)),
  continue_text: unset(z.string()),
};
const commonBody = z.object(commonFields);
export type CommonBody = z.output<typeof commonBody>;

/** OpenAI takes up to 5 for completions and up to 20 for chats; the mesh takes 20 for both. */
const MAX_TOP_LOGPROBS = 20;
const alternatives = z.int().min(0).max(MAX_TOP_LOGPROBS);
export const chatLogprobFields = { logprobs: unset(z.boolean()), top_logprobs: unset(alternatives) };
/** One number for both; false, which chats have, asks for nothing here too. */
export const completionLogprobFields = {
  logprobs: unset(z.union([alternatives, z.literal(false).transform(() => undefined)])),
  top_logprobs: unset(z.literal(0, 'completions take the number in logprobs')),
};

/** Fields that would change the answer and that this engine cannot honour, unless their value changes nothing. */
const UNSUPPORTED: ReadonlySet<string> = new Set([
  'n',
  'best_of',
  'prompt_logprobs',
  'echo',
  'suffix',
  'tools',
  'tool_choice',
  'functions',
  'function_call',
  'modalities',
  'audio',
  'prediction',
  'guided_regex',
  'guided_choice',
  'guided_grammar',
  'structured_outputs',
  'chat_template',
  'chat_template_kwargs',
  'use_beam_search',
  'min_tokens',
  'bad_words',
  'stop_token_ids',
]);

/** Refuses the first field that cannot be honoured, by name. */
export function refuseUnsupported(body: object): void {
  for (const [field, value] of Object.entries(body)) {
    if (!UNSUPPORTED.has(field) || isNeutral(field, value)) continue;
    throw new RequestError(400, `This engine does not support '${field}'. Leave it out.`, {
      param: field,
      code: 'unsupported_parameter',
    });
  }
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
  const field = (issue?.path ?? []).map(String).join('.');
  throw new RequestError(400, `Invalid value for '${field}': ${issue?.message ?? 'not accepted'}.`, {
    param: field,
    code: 'invalid_value',
  });
}
