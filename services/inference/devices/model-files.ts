import { readdir, readFile, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';

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

/** `user/name` or `name`, as the Hugging Face hub allows them. */
const HUB_ID = /^[A-Za-z0-9][\w.-]{0,95}(\/[A-Za-z0-9][\w.-]{0,95})?$/;

/**
 * Finds a model's files: a path as it is, an id of the Hugging Face hub in its cache on this machine.
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
  if (!HUB_ID.test(model) || isAbsolute(model)) return undefined;
  const snapshot = await findSnapshot(join(hubCache(environmentVariable), `models--${model.replace('/', '--')}`));
  return snapshot === undefined ? undefined : { kind: 'directory', path: snapshot };
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

/** The snapshot of `main`, else any that has a config.json. */
async function findSnapshot(folder: string): Promise<string | undefined> {
  const main = await readFile(join(folder, 'refs', 'main'), 'utf8').catch(() => undefined);
  const all = await readdir(join(folder, 'snapshots')).catch(() => []);
  for (const revision of [...(main === undefined ? [] : [main.trim()]), ...all]) {
    const path = join(folder, 'snapshots', revision);
    if ((await kindOf(join(path, 'config.json'))) === 'file') return path;
  }
  return undefined;
}
