import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isHubId, parseHubReference } from '../weights/reference.ts';

/** A model's files are there and cannot be read; the message says which and what to do. */
export class ModelFilesError extends Error {
  override readonly name = 'ModelFilesError';
}

/** Where a model's files are. */
export type ModelFiles =
  /** A GGUF; the first of its parts. */
  | { readonly kind: 'gguf'; readonly path: string }
  /** A directory with config.json, and safetensors where they were downloaded. */
  | { readonly kind: 'directory'; readonly path: string };

/** What tools take where the caller names no quantisation. */
const DEFAULT_QUANT = 'Q4_K_M';

/**
 * Finds a model's files: a path as it is, what is named by an id of the Hugging Face hub in its cache on this machine.
 *
 * @returns undefined: there are none here.
 */
export async function findModelFiles(
  model: string,
  environmentVariable: (name: string) => string | undefined,
): Promise<ModelFiles | undefined> {
  const kind = await kindOf(model);
  if (kind === 'file') return model.endsWith('.gguf') ? { kind: 'gguf', path: model } : undefined;
  if (kind === 'directory') return { kind: 'directory', path: model };
  const reference = parseHubReference(model);
  const id = reference ? `${reference.user}/${reference.repository}` : model;
  if (!isHubId(id)) return undefined;
  const snapshots = await findSnapshots(join(hubCache(environmentVariable), `models--${id.replace('/', '--')}`));
  return reference ? withGguf(snapshots, reference.quantization) : withConfig(snapshots);
}

async function withConfig(snapshots: readonly string[]): Promise<ModelFiles | undefined> {
  for (const path of snapshots) {
    if ((await kindOf(join(path, 'config.json'))) === 'file') return { kind: 'directory', path };
  }
  return undefined;
}

async function withGguf(snapshots: readonly string[], quant: string | undefined): Promise<ModelFiles | undefined> {
  const wanted = (quant ?? DEFAULT_QUANT).toLowerCase();
  for (const path of snapshots) {
    const names = (await readdir(path)).filter((name) => name.endsWith('.gguf') && !name.startsWith('mmproj')).sort();
    const name =
      names.find((one) => one.toLowerCase().includes(wanted)) ?? (quant === undefined ? names[0] : undefined);
    if (name !== undefined) return { kind: 'gguf', path: join(path, name) };
  }
  return undefined;
}

/** Only a regular file or a directory: opening a pipe would wait for ever. */
async function kindOf(path: string): Promise<'file' | 'directory' | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile()) return 'file';
  return found?.isDirectory() ? 'directory' : undefined;
}

/** Where the hub's own libraries look, in their order. */
function hubCache(environmentVariable: (name: string) => string | undefined): string {
  const given = environmentVariable('HF_HUB_CACHE') ?? environmentVariable('HUGGINGFACE_HUB_CACHE');
  if (given) return given;
  const home = environmentVariable('HF_HOME');
  if (home) return join(home, 'hub');
  const cache = environmentVariable('XDG_CACHE_HOME') ?? join(environmentVariable('HOME') ?? '/', '.cache');
  return join(cache, 'huggingface', 'hub');
}

/** The folders of a model's revisions, that of `main` first. */
async function findSnapshots(folder: string): Promise<readonly string[]> {
  const main = (await readFile(join(folder, 'refs', 'main'), 'utf8').catch(() => '')).trim();
  const all = await readdir(join(folder, 'snapshots')).catch(() => []);
  const inOrder = [...all].sort((one, other) => Number(other === main) - Number(one === main));
  return inOrder.map((revision) => join(folder, 'snapshots', revision));
}
