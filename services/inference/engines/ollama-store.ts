import { readdir, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { notPulled } from './ollama-failures.ts';
import { nameParts } from './ollama-names.ts';

const WEIGHTS = 'application/vnd.ollama.image.model';

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Where Ollama keeps its models, by the variables of its process. */
export function modelsDirectory(environment: Readonly<Record<string, string>>): string {
  return environment.OLLAMA_MODELS ?? join(environment.HOME ?? homedir(), '.ollama', 'models');
}

/**
 * The GGUF file of a pulled model, found as Ollama does: by the manifest of its name. Undefined: it has none, because its
 * weights are in another form.
 *
 * @throws StartRefusedError when the model is not there; an Error when its manifest cannot be read.
 */
export async function ggufOf(model: string, directory: string): Promise<string | undefined> {
  const manifest = await readManifest(model, directory);
  const layers = (manifest as { layers?: unknown } | null)?.layers;
  if (!Array.isArray(layers)) throw new Error(`the manifest of the model '${model}' has no layers`);
  const weights = (layers as { mediaType?: unknown; digest?: unknown }[]).find((layer) => layer.mediaType === WEIGHTS);
  if (typeof weights?.digest !== 'string' || !DIGEST.test(weights.digest)) return undefined;
  return join(directory, 'blobs', weights.digest.replace(':', '-'));
}

async function readManifest(model: string, directory: string): Promise<unknown> {
  let path = join(directory, 'manifests');
  for (const part of nameParts(model)) {
    const entry = await entryOf(path, part);
    if (entry === undefined) throw notPulled(model);
    path = join(path, entry);
  }
  return JSON.parse(await readFile(path, 'utf8'));
}

/** What a folder has by a name, written as it is there. Only what is listed is found, so no name leads out of the folder. */
async function entryOf(path: string, name: string): Promise<string | undefined> {
  let entries: readonly string[];
  try {
    entries = await readdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return entries.find((entry) => entry === name) ?? entries.find((entry) => entry.toLowerCase() === name.toLowerCase());
}
