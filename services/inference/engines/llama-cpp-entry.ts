import { z } from 'zod';
import { ADDRESS_FORM, isAddress, parseAddress } from '../weights/address.ts';
import { HUB_REFERENCE_FORM, isHubReference, parseHubReference } from '../weights/reference.ts';
import { NODE } from './command-line.ts';
import { commonFields, startedFields } from './entry-fields.ts';
import { type OwnSetting, refuseOwnSettings, setByMesh, useField } from './own-settings.ts';

/** Of our own child, ../embedded/arguments.ts. */
const OWN_SETTINGS: readonly OwnSetting[] = [
  setByMesh('--socket', '--api-key-env', 'MESH_ENGINE_KEY'),
  useField('model', '--model'),
  useField('max_model_len', '--context'),
  useField('max_concurrency', '--sequences'),
  useField('devices', '--gpu'),
];

/** llama.cpp, embedded: a child process of ours. */
export const llamaCppEntrySchema = z
  .strictObject({
    ...commonFields,
    ...startedFields,
    engine: z.literal('llama.cpp'),
    /** Path of a GGUF file, a reference to one on a Hugging Face hub, or its address. */
    model: z
      .string()
      .min(1)
      .refine(
        (model) => !isHubReference(model) || parseHubReference(model) !== undefined,
        `expected ${HUB_REFERENCE_FORM}`,
      )
      .refine((model) => !isAddress(model) || parseAddress(model) !== undefined, `expected ${ADDRESS_FORM}`),
  })
  .superRefine(refuseOwnSettings(OWN_SETTINGS, NODE));

/** A validated entry for the embedded engine. */
export type LlamaCppEntry = z.output<typeof llamaCppEntrySchema>;
