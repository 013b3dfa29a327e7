import type { InferenceConfig } from '../config.ts';
import type { ModelEntry } from '../engines/model-entry.ts';
import { parseAddress } from './address.ts';
import { type HubSettings, readHubSettings } from './hub-settings.ts';
import { modelsDirectoryOf } from './model-directory.ts';
import { obtainWeights, type WeightsResources } from './obtain.ts';
import { parseHubReference } from './reference.ts';

/** What making one model local works with. */
export interface LocalModelResources extends Omit<WeightsResources, 'hub' | 'modelsDirectory'> {
  readonly dataDir: string;
  /** The hub that references name. */
  readonly hub: () => HubSettings;
  /** What messages about an entry begin with, e.g. "--model". */
  readonly originOf: (entry: ModelEntry) => string;
}

/** What making all models local works with. */
export interface LocalModelsResources extends Omit<LocalModelResources, 'hub'> {
  /** Reads one variable of the environment of the mesh. */
  readonly environmentVariable: (name: string) => string | undefined;
}

/**
 * The same configuration with a path in place of every reference to a hub and every address. Models that are not on the disk are fetched, one
 * after the other.
 *
 * @throws ConfigError for what somebody must change; TemporaryError for what may pass; the signal's reason.
 */
export async function withLocalModels(
  config: InferenceConfig,
  resources: LocalModelsResources,
): Promise<InferenceConfig> {
  const hub = (): HubSettings => readHubSettings(resources.environmentVariable);
  const models: ModelEntry[] = [];
  for (const entry of config.models) models.push(await withLocalModel(entry, { ...resources, hub }));
  return { ...config, models };
}

/**
 * The same entry with a path in place of a reference to a hub or an address, where the model is fetched from when it is not on the disk.
 *
 * @throws ConfigError for what somebody must change; TemporaryError for what may pass; the signal's reason.
 */
export async function withLocalModel(entry: ModelEntry, resources: LocalModelResources): Promise<ModelEntry> {
  if (entry.engine !== 'llama.cpp') return entry;
  const reference = parseHubReference(entry.model) ?? parseAddress(entry.model);
  if (!reference) return entry;
  const subject = `${resources.originOf(entry)} ${reference.text}`;
  const modelsDirectory = modelsDirectoryOf(resources.dataDir);
  const weights = { ...resources, hub: resources.hub(), modelsDirectory };
  return { ...entry, model: await obtainWeights(reference, subject, weights) };
}
