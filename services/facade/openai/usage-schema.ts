import { z } from 'zod';

/** What generations tell of their cost, for the documentation. */
export const usageSchema = z.object({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
  prompt_tokens_details: z.object({ cached_tokens: z.int().describe('What the engine knew already.') }),
  completion_tokens_details: z.object({ reasoning_tokens: z.int() }),
});

/** One. */
export const USAGE_EXAMPLE = {
  prompt_tokens: 12,
  completion_tokens: 2,
  total_tokens: 14,
  prompt_tokens_details: { cached_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 0 },
};

/** Why a choice ended. */
export const finishReason = z.enum(['stop', 'length', 'tool_calls', 'content_filter']);

/** Ids of the tokens of an answer or a part of it. */
export const tokenIds = z.array(z.int()).optional().describe('With `return_token_ids`.');
