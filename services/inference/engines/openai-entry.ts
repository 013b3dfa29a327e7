import { z } from 'zod';
import { address, commonFields } from './entry-fields.ts';

/** A server elsewhere that speaks the OpenAI API. */
export const openAiEntrySchema = z.strictObject({
  ...commonFields,
  engine: z.literal('openai'),
  /** Its address up to and including the version, e.g. "http://10.0.0.7:8000/v1". */
  base_url: address,
  /** The model's name there. Unset: the first that the server lists. */
  model: z.string().min(1).optional(),
  /**
   * How the server goes on with a conversation whose last message is the start of the answer, when a stream moves to it: by
   * itself, when `continue_final_message` is set (vLLM, SGLang), or not at all. Text prompts are continued always.
   */
  continues_chat: z.enum(['never', 'last_message', 'continue_final_message']).default('never'),
  /** Name of the environment variable that holds the server's key. Unset: no key. */
  api_key_env: z.string().min(1).optional(),
});

/** A validated entry for a server elsewhere. */
export type OpenAiEntry = z.output<typeof openAiEntrySchema>;
