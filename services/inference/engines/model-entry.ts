import { z } from 'zod';
import { llamaCppEntrySchema } from './llama-cpp-entry.ts';
import { llamaServerEntrySchema } from './llama-server-entry.ts';
import { ollamaEntrySchema, refuseOtherOllama } from './ollama-entry.ts';
import { openAiEntrySchema } from './openai-entry.ts';
import { tgiEntrySchema } from './tgi-entry.ts';
import { transformersEntrySchema } from './transformers-entry.ts';
import { vllmEntrySchema } from './vllm-entry.ts';

const LATER_FIELDS = ['load', 'ttl_seconds'];

/** Documented variables of the mesh that name an engine and that this version does not have yet. */
export const LATER_VARIABLES = ['MODEL_BACKEND', 'VLLM_BASE_URL', 'VLLM_DEFAULT_MODEL'];

/**
 * One entry of `inference.models`. What is documented but does not work in this version is refused as such rather than
 * ignored or called unknown.
 */
export const modelEntrySchema = z
  .looseObject({ engine: z.string() })
  .superRefine((entry, context) => {
    for (const field of LATER_FIELDS.filter((name) => name in entry)) {
      context.addIssue({ code: 'custom', path: [field], message: `'${field}' is not available yet in this version` });
    }
    if (entry.engine === 'ollama') refuseOtherOllama(entry, context);
  })
  .pipe(
    z.discriminatedUnion('engine', [
      openAiEntrySchema,
      llamaCppEntrySchema,
      vllmEntrySchema,
      tgiEntrySchema,
      llamaServerEntrySchema,
      transformersEntrySchema,
      ollamaEntrySchema,
    ]),
  );

/** A validated entry of `inference.models`. */
export type ModelEntry = z.output<typeof modelEntrySchema>;
