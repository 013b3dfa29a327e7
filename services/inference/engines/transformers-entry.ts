import { z } from 'zod';
import { ARGPARSE } from './command-line.ts';
import { commonFields, dtype, model, program, quantization, startedFields } from './entry-fields.ts';
import { type OwnSetting, refuseOwnSettings, setByMesh, useField } from './own-settings.ts';

/** Of `transformers serve`, under the names of all its versions. */
const OWN_SETTINGS: readonly OwnSetting[] = [
  setByMesh('--host', '--port'),
  useField('model', '--force-model'),
  useField('devices', '--device'),
  useField('dtype', '--dtype', '--torch-dtype'),
  useField('quantization', '--quantization', '--load-in-4bit', '--load-in-8bit'),
];

/** `transformers serve`. */
export const transformersEntrySchema = z
  .strictObject({
    ...commonFields,
    ...startedFields,
    engine: z.literal('transformers'),
    model,
    program,
    dtype,
    quantization,
  })
  // Today's versions read them with click, which takes fewer spellings; earlier ones with argparse.
  .superRefine(refuseOwnSettings(OWN_SETTINGS, ARGPARSE));

/** A validated entry for the server of Hugging Face Transformers. */
export type TransformersEntry = z.output<typeof transformersEntrySchema>;
