import { fileURLToPath } from 'node:url';
import type { InferenceConfig } from './config.ts';
import { modelEntrySchema } from './engines/model-entry.ts';

/** The engine's name of the model that `--model` names, and of the one that ships. */
export const SHIPPED_NAME = 'default';

/** models/demo/README.md says what it is. */
const SHIPPED_MODEL = fileURLToPath(new URL('../../models/demo/mesh-demo.gguf', import.meta.url));

/** A process without configured models serves the one that ships, unless told otherwise: another one, or `none`. */
export function withDefaultModel(config: InferenceConfig, model: string | undefined): InferenceConfig {
  const { models } = config;
  if (model === 'none' || (model === undefined && models.length > 0)) return config;
  const fields = { name: SHIPPED_NAME, engine: 'llama.cpp', model: model ?? SHIPPED_MODEL, required: true };
  return { ...config, models: [modelEntrySchema.parse(fields), ...models] };
}
