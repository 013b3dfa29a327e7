import { z } from 'zod';
import { CLAP } from './command-line.ts';
import {
  commonFields,
  dtype,
  gpuMemoryUtilization,
  model,
  program,
  quantization,
  requireDevicesForSpread,
  startedFields,
  tensorParallelSize,
} from './entry-fields.ts';
import { refuseOwnSettings } from './own-settings.ts';
import { TGI_OWN_SETTINGS } from './tgi-own-settings.ts';

/** `text-generation-launcher`. */
export const tgiEntrySchema = z
  .strictObject({
    ...commonFields,
    ...startedFields,
    engine: z.literal('tgi'),
    model,
    program,
    dtype,
    quantization,
    tensor_parallel_size: tensorParallelSize,
    gpu_memory_utilization: gpuMemoryUtilization,
  })
  .superRefine(requireDevicesForSpread)
  .superRefine(refuseOwnSettings(TGI_OWN_SETTINGS, CLAP));

/** A validated entry for TGI. */
export type TgiEntry = z.output<typeof tgiEntrySchema>;
