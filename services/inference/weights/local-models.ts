import { join } from 'node:path';
import type { InferenceConfig } from '../config.ts';
import type { ModelEntry } from '../engines/model-entry.ts';
import { readHubSettings } from './hub-settings.ts';
import { obtainWeights, type WeightsResources } from './obtain.ts';
import { parseHubReference } from './reference.ts';

/** What making models local works with. */
export interface LocalModelsResources extends Omit<WeightsResources, 'hub' | 'modelsDirectory'> {
  readonly dataDir: string;
  /** Reads one variable of the environment of the mesh. */
  readonly environmentVariable: (name: string) => string | undefined;
  /** What messages about an entry begin with, e.g. "--model". */
  readonly originOf: (entry: ModelEntry) => string;
}

/**
 * The same configuration with a path in place of every reference to a hub. Models that are not on the disk are fetched, one
 * after the other.
 *
 * @throws ConfigError for what somebody must change; TemporaryError for what may pass; the signal's reason.
 */
export async function withLocalModels(
  config: InferenceConfig,
  resources: LocalModelsResources,
): Promise<InferenceConfig> {
  const models: ModelEntry[] = [];
  for (const entry of config.models) {
    const reference = entry.engine === 'llama.cpp' ? parseHubReference(entry.model) : undefined;
    if (!reference) {
      models.push(entry);
      continue;
    }
    const hub = readHubSettings(resources.environmentVariable);
    const modelsDirectory = join(resources.dataDir, 'models');
    const subject = `${resources.originOf(entry)} ${reference.text}`;
    models.push({ ...entry, model: await obtainWeights(reference, subject, { ...resources, hub, modelsDirectory }) });
  }
  return { ...config, models };
}
