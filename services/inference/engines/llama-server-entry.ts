import { z } from 'zod';
import { LLAMA_CPP } from './command-line.ts';
import {
  commonFields,
  model,
  program,
  requireDevicesForSpread,
  startedFields,
  tensorParallelSize,
} from './entry-fields.ts';
import { LLAMA_SERVER_OWN_SETTINGS } from './llama-server-own-settings.ts';
import { refuseOwnSettings } from './own-settings.ts';

/** `llama-server`. */
export const llamaServerEntrySchema = z
  .strictObject({
    ...commonFields,
    ...startedFields,
    engine: z.literal('llama-server'),
    /** Path of a GGUF file. */
    model,
    program,
    /** Over how many devices the layers are spread. Unset: as many as `devices` names, else 1. */
    tensor_parallel_size: tensorParallelSize,
    /** How many layers run on the devices. Unset: as many as fit. */
    gpu_layers: z.int().min(0).optional(),
    /** What the model is for. "embed": it makes vectors and generates nothing. */
    task: z.enum(['generate', 'embed']).default('generate'),
  })
  .superRefine(requireDevicesForSpread)
  .superRefine(refuseOwnSettings(LLAMA_SERVER_OWN_SETTINGS, LLAMA_CPP));

/** A validated entry for llama.cpp's own server. */
export type LlamaServerEntry = z.output<typeof llamaServerEntrySchema>;
