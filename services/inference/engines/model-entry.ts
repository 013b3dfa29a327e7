import { z } from 'zod';
import { llamaCppEntrySchema } from './llama-cpp-entry.ts';
import { llamaServerEntrySchema } from './llama-server-entry.ts';
import { ollamaEntrySchema, refuseOtherOllama } from './ollama-entry.ts';
import { openAiEntrySchema } from './openai-entry.ts';
import { tgiEntrySchema } from './tgi-entry.ts';
import { transformersEntrySchema } from './transformers-entry.ts';
import { vllmEntrySchema } from './vllm-entry.ts';

/**
 * One entry of `inference.models`. What only some entries may hold is refused as such rather than ignored or called
 * unknown.
 */
export const modelEntrySchema = z
  .looseObject({ engine: z.string() })
  .superRefine((entry, context) => {
    refuseIdleResidency(entry, context);
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

/** Whether the first request loads the engine of an entry, and others may make it go when it is idle. */
export function comesOnDemand(entry: ModelEntry): boolean {
  return 'load' in entry && entry.load === 'on_demand';
}

/** Refuses what contradicts `load`. */
function refuseIdleResidency(entry: Readonly<Record<string, unknown>>, context: z.RefinementCtx): void {
  const onDemand = entry.load === 'on_demand';
  if (entry.ttl_seconds !== undefined && !onDemand) {
    const message = 'needs load: on_demand, else nothing loads it again';
    context.addIssue({ code: 'custom', path: ['ttl_seconds'], message });
  }
  if (entry.required === true && onDemand) {
    const message = 'the mesh is ready only with it, and load: on_demand waits for a request; choose one';
    context.addIssue({ code: 'custom', path: ['required'], message });
  }
}
