import type { Json } from './openai-messages.ts';

/** What `transformers serve` makes without `max_tokens`; a configuration that comes with a request would lower it to 20. */
const DEFAULT_TOKENS = 1_024;

/**
 * The fields that make `transformers serve` sample where a request asks for it. Whether it samples is the model's own
 * configuration's to say, and without that it takes temperature, top_p and seed and does nothing with them. What the field
 * does not name stays as the model's configuration has it; a temperature of 0 is greedy without it.
 */
export function samplingConfiguration({ temperature, top_p: topP, max_tokens: maxTokens }: Json): Json {
  const samples = temperature === undefined ? topP !== undefined && topP !== 1 : temperature !== 0;
  if (!samples) return {};
  return { generation_config: JSON.stringify({ do_sample: true, max_new_tokens: maxTokens ?? DEFAULT_TOKENS }) };
}
