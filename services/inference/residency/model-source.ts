import type { Logger } from 'pino';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import { HUB_ENGINES, installedHubEngine } from '../engines/installed.ts';
import { type ModelEntry, modelEntrySchema } from '../engines/model-entry.ts';
import { modelsDirectoryOf } from '../weights/model-directory.ts';
import { readModelName } from '../weights/model-name.ts';
import type { ProgressListener } from '../weights/progress.ts';
import { entryOnDevice } from './model-source-device.ts';
import { entryWithFiles } from './model-source-files.ts';
import { refuseLocalName } from './model-source-local-name.ts';
import { entryWithToken, requireToken } from './model-source-token.ts';

/** What a call asks to load. */
export interface LoadRequest {
  /** As in LoadModelRequest. */
  readonly model: string;
  /** "auto" or empty, "cpu", "cuda" or "cuda:<index>". */
  readonly device: string;
  /** A token of the Hugging Face hub for this load. Empty: that of the environment, where there is one. */
  readonly hfToken: string;
}

/** What surrounds a load on this node. */
export interface LoadSurroundings {
  /** The configured entry of a name. */
  readonly entryOf: (name: string) => ModelEntry | undefined;
  /** Models are in its folder `models`. */
  readonly dataDir: string;
  /** Reads one variable of the environment of the mesh. */
  readonly environmentVariable: (name: string) => string | undefined;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Before a download is tried a second time, in milliseconds. Default 1 s. */
  readonly firstRetryMs?: number;
}

/** A model that can be loaded. */
export interface LoadSource {
  /** The engine's name: the configured name, else the model as the caller wrote it. */
  readonly name: string;
  /**
   * Makes the files local where the mesh does that, and gives the entry to start. Tells of "downloading" and "verifying", once
   * per percent.
   *
   * @throws MeshError INVALID_FIELD `model` or `hf_token` for what the hub does not have or does not give; NO_HEALTHY_ENGINE for
   *   what is wrong with the disk, the network or the configuration; the signal's reason.
   */
  entry(signal: AbortSignal, onProgress: ProgressListener): Promise<ModelEntry>;
}

/**
 * What a call to load a model names: a configured entry, else a GGUF file below the model directory or of a hub, which the
 * embedded engine runs, else a model of the Hugging Face hub, which the first installed engine for those runs.
 *
 * @throws MeshError INVALID_FIELD `model`, `device` or `hf_token`; the message names what is missing.
 */
export async function modelSource(request: LoadRequest, surroundings: LoadSurroundings): Promise<LoadSource> {
  const { model: name, device, hfToken } = request;
  requireToken(hfToken);
  const configured = surroundings.entryOf(name);
  const named = configured ?? (await entryForName(name, surroundings));
  const entry = entryWithToken(entryOnDevice(named, device), hfToken);
  const asked = { entry, hfToken, isConfigured: configured !== undefined };
  return {
    name,
    entry: (signal, onProgress) => entryWithFiles(asked, { ...surroundings, signal, onProgress }),
  };
}

async function entryForName(name: string, { dataDir, environmentVariable }: LoadSurroundings): Promise<ModelEntry> {
  const named = await readModelName(name, modelsDirectoryOf(dataDir));
  switch (named.kind) {
    case 'file':
      return modelEntrySchema.parse({ name, engine: 'llama.cpp', model: named.path });
    case 'hub-file':
      return modelEntrySchema.parse({ name, engine: 'llama.cpp', model: named.reference.text });
    case 'hub': {
      const installed = await installedHubEngine(environmentVariable);
      if (!installed) throw invalidField('model', NOTHING_INSTALLED);
      await refuseLocalName(named.id);
      return modelEntrySchema.parse({ name, engine: installed.engine, model: named.id, extra_args: installed.safety });
    }
  }
}

const NOTHING_INSTALLED =
  'no configured engine has this name, and no engine for models of the Hugging Face hub is installed on this node: install ' +
  `${HUB_ENGINES.map(({ product }) => product).join(' or ')}, so that ` +
  `${HUB_ENGINES.map(({ program }) => program).join(' or ')} is on PATH`;
