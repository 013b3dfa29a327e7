type Neutral = (value: unknown) => boolean;

const isOneOf =
  (...values: unknown[]): Neutral =>
  (value) =>
    values.includes(value);
const isEmptyArray: Neutral = (value) => Array.isArray(value) && value.length === 0;
const isEmptyObject: Neutral = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
const isAnything: Neutral = () => true;

/** The values of request fields that change nothing about an answer, for engines that do not know the field. */
const NEUTRAL: Readonly<Record<string, Neutral>> = {
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
  chat_template_kwargs: isEmptyObject,
  use_beam_search: isOneOf(false),
  min_tokens: isOneOf(0),
  top_k: isOneOf(0),
  top_p: isOneOf(1),
  min_p: isOneOf(0),
  presence_penalty: isOneOf(0),
  frequency_penalty: isOneOf(0),
  repetition_penalty: isOneOf(1),
  bad_words: isEmptyArray,
  stop_token_ids: isEmptyArray,
  // About storage, billing and caching, never about the answer.
  store: isAnything,
  metadata: isAnything,
  service_tier: isAnything,
  user: isAnything,
  safety_identifier: isAnything,
  prompt_cache_key: isAnything,
  prompt_cache_options: isAnything,
  prompt_cache_retention: isAnything,
  // Documented to have no effect where the engine has none.
  parallel_tool_calls: isAnything,
  verbosity: isAnything,
};

/** Whether leaving the field out asks for the same. Null always means unset. */
export function isNeutral(field: string, value: unknown): boolean {
  return value === null || (Object.hasOwn(NEUTRAL, field) && NEUTRAL[field]?.(value) === true);
}
